//! Two admins, three files and a program that change the same at once: nothing is lost, and every refusal says why.

mod editors;
mod ledger;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use serde_json::json;

use self::{
    editors::{Editor, Role},
    ledger::Ledger,
};
use super::{end, replace, revision, timeout_of, until, with_file_and_log};
use crate::client::Admin;

/// What the file of the process itself says, all the time.
const OWN: &str = "upstreams:\n- name: backend\n  url: http://127.0.0.1:9\n\
                   routes:\n- id: own\n  path: /own\n  upstream: backend\n  timeout: 5s\n";

/// How long it goes on: so many rounds of each, or until a time.
#[derive(Clone, Copy)]
enum Extent {
    Rounds(u32),
    Time(Duration),
}

#[tokio::test]
async fn who_edits_the_same_at_once_loses_nothing_and_hears_why_not() {
    everybody_edits(Extent::Rounds(25)).await;
}

#[tokio::test]
#[ignore = "takes a minute"]
async fn who_edits_the_same_for_a_minute_loses_nothing_and_hears_why_not() {
    everybody_edits(Extent::Time(Duration::from_mins(1))).await;
}

#[expect(clippy::print_stdout, reason = "the figures are what the minute is for")]
async fn everybody_edits(extent: Extent) {
    let folder = tempfile::tempdir().unwrap();
    let (settings, log) = with_file_and_log(folder.path(), OWN).await;
    let program = settings.start();
    let api = settings.api().await;
    until("the file", async || {
        timeout_of(&api, "own").await == Some(json!(5000))
    })
    .await;
    // At three in the morning, and for the rest of the test.
    let fix = json!({ "timeout": "20s" });
    api.call(Method::PATCH, "/api/routes/own", Some(fix)).await;
    for id in ["hand-0", "hand-1"] {
        let route = json!({ "id": id, "path": format!("/{id}"), "upstream": "backend" });
        api.call(Method::POST, "/api/routes", Some(route)).await;
    }
    let begun = revision(&api).await;

    let editors = [
        Role::Admin,
        Role::Admin,
        Role::Program,
        Role::File("a"),
        Role::File("b"),
        Role::File("c"),
    ];
    let begin = Instant::now();
    let work = editors.into_iter().enumerate().map(async |(number, role)| {
        let mut editor = Editor::new(number, role, settings.admin);
        let mut rounds = 0;
        let goes_on = |rounds| match extent {
            Extent::Rounds(most) => rounds < most,
            Extent::Time(time) => begin.elapsed() < time,
        };
        while goes_on(rounds) {
            editor.round().await;
            rounds += 1;
        }
        editor.attempts
    });
    let attempts: Vec<_> = join_all(work).await.into_iter().flatten().collect();

    let ledger = Ledger::read(&log, begun).await;
    let figures = ledger.accounts_for(&attempts);
    assert!(figures.accepted > 0 && figures.refused() > 0, "{figures}");
    println!("{figures}");
    ledger.is_what_is_served(&api).await;
    end(program).await;

    let last = ledger.last_revision();
    let program = settings.start();
    let api = settings.api().await;
    until("the log", async || revision(&api).await >= last).await;
    first_look_is_over(folder.path(), &api).await;
    assert_eq!(timeout_of(&api, "own").await, Some(json!(20000)));
    assert_eq!(revision(&api).await, last + 1);
    end(program).await;
}

/// Another change of the file goes through, as one commit, when the first look at it is over.
async fn first_look_is_over(folder: &std::path::Path, api: &Admin) {
    replace(
        folder,
        &format!("{OWN}- id: cart\n  path: /cart\n  upstream: backend\n"),
    );
    until("the change", async || {
        api.call(Method::GET, "/api/routes/cart", None).await.status == 200
    })
    .await;
}
