//! Whole processes under load. `cargo bench --profile dist --bench load` measures a request beside nginx, `... -- everything`
//! only one that everything is asked of;
//! `... --bench load -- edits` measures how soon edits take effect, `... -- projector` how fast outcomes become rows,
//! `... -- rebuild` whether making a projection anew delays requests (`... -- rebuild apart` on cores of its own),
//! `... -- lag` how late the tables are under load, `... -- weight` what resting connections and large bodies weigh,
//! `... -- routes` what a hundred thousand routes cost, `... -- limits` what a limit costs, and what it costs while Redis dies.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    reason = "a bench prints, stops where something is wrong, and is a crate of its own"
)]

#[expect(dead_code, reason = "tests need more of it")]
#[path = "../../tests/it/client.rs"]
mod client;
mod cluster;
mod edits;
mod lag;
mod limits;
mod nginx;
mod projector;
mod rebuild;
mod routes;
mod side_by_side;
mod turn;
mod weight;

mod fixtures {
    /// How long one answer may take.
    pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
}

fn main() {
    let asked = |what: &str| std::env::args().any(|argument| argument == what);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if asked("hold") {
        runtime.block_on(weight::hold_connections());
    } else if asked("weight") {
        runtime.block_on(weight::run());
    } else if asked("edits") {
        runtime.block_on(edits::run());
    } else if asked("projector") {
        runtime.block_on(projector::run());
    } else if asked("rebuild") {
        runtime.block_on(rebuild::run(asked("apart")));
    } else if asked("routes") {
        // Which has a runtime of its own.
        drop(runtime);
        routes::run();
    } else if asked("limits") {
        limits::run();
    } else if asked("lag") {
        runtime.block_on(lag::run());
    } else {
        side_by_side::run(asked("everything"));
    }
}
