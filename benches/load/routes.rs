//! A hundred thousand routes: a file of them is imported while requests are served, and then a request costs hardly more
//! than among ten.
//!
//! Two clusters in front of one backend, one with ten routes and one with a hundred thousand, take turns under `wrk`, which
//! asks for all of their routes alike.

#![expect(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "counts no further than a float does, and has no other task to block"
)]

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use serde_json::json;
use tokio::{runtime::Runtime, time::interval};

use crate::{
    client::{Admin, Connection},
    cluster::{self, FlexGate, Recording},
    nginx::{Backend, is_installed},
    turn::{self, Asked, Load},
    weight::resident_mb,
};

const FEW: usize = 10;
const SOME: usize = 5_000;
const MANY: usize = 100_000;
/// As many as the few routes have: what further ones cost is not what routes cost.
const UPSTREAMS: usize = FEW;
const ROUNDS: usize = 15;
const TURN: Duration = Duration::from_secs(3);
const EDITS: usize = 300;
/// What is asked for.
const RATIO_MAX: f64 = 1.10;
const IMPORT_MAX_S: f64 = 10.0;
const SOME_MAX_MB: f64 = 60.0;
const MANY_MAX_MB: f64 = 250.0;
/// How long a gateway may take to rest before it is weighed.
const REST: Duration = Duration::from_secs(5);

/// Runs it and prints what it showed.
pub fn run() {
    if !is_installed("nginx") || !is_installed("wrk") {
        println!("the bench needs nginx and wrk: apt install nginx-light wrk");
        return;
    }
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::start(folder.path());
    let start = |name: &str| {
        let own = folder.path().join(name);
        fs::create_dir_all(&own).unwrap();
        runtime.block_on(FlexGate::start(&own, 1, 2, backend.port(), Recording::Off))
    };
    let (few, many) = (start("few"), start("many"));
    println!(
        "without routes a gateway has {:.1} MB",
        resident_mb(many.pids()[0])
    );
    import(&runtime, &few, folder.path(), (FEW, backend.port()));
    import(&runtime, &many, folder.path(), (SOME, backend.port()));
    weigh(&many, SOME, SOME_MAX_MB);
    let took = import(&runtime, &many, folder.path(), (MANY, backend.port()));
    println!(
        "the import takes {took:.2} s, at most {IMPORT_MAX_S} s are asked: {}",
        held(took <= IMPORT_MAX_S)
    );
    weigh(&many, MANY, MANY_MAX_MB);
    runtime.block_on(edits(many.admin()));
    requests(folder.path(), [(&few, FEW), (&many, MANY)]);
    weigh(&many, MANY, MANY_MAX_MB);
}

fn held(held: bool) -> &'static str {
    if held { "held" } else { "NOT HELD" }
}

fn weigh(flexgate: &FlexGate, routes: usize, max_mb: f64) {
    std::thread::sleep(REST);
    let resident = resident_mb(flexgate.pids()[0]);
    println!(
        "{routes} routes: {resident:.1} MB resident, at most {max_mb} MB are asked: {}",
        held(resident <= max_mb)
    );
}

fn base(number: usize) -> String {
    format!("/team-{:03}/service-{number:06}", number % 317)
}

fn file(folder: &Path, (routes, backend): (usize, u16)) -> PathBuf {
    let mut text = "upstreams:\n".to_owned();
    for number in 0..UPSTREAMS {
        writeln!(
            text,
            "  - name: upstream-{number:02}\n    url: http://127.0.0.1:{backend}"
        )
        .unwrap();
    }
    text.push_str("routes:\n");
    for number in 0..routes {
        let (base, upstream) = (base(number), number % UPSTREAMS);
        writeln!(
            text,
            "  - path: {base}/*\n    upstream: upstream-{upstream:02}\n    stripPath: true\n    timeout: 5s"
        )
        .unwrap();
    }
    let path = folder.join("routes.yml");
    fs::write(&path, text).unwrap();
    path
}

/// Applies a file with so many routes as an operator does, while requests are served; how many seconds pass until the gateway
/// serves all of them.
fn import(runtime: &Runtime, flexgate: &FlexGate, folder: &Path, what: (usize, u16)) -> f64 {
    let path = file(folder, what);
    let gateway: SocketAddr = ([127, 0, 0, 1], flexgate.ports()[0]).into();
    let load = Arc::new(Requests::default());
    let asking = runtime.spawn(load.clone().ask(gateway));
    let began = Instant::now();
    let applied = Command::new(env!("CARGO_BIN_EXE_flexgate"))
        .args(["apply", "--wait"])
        .arg(&path)
        .env("FLEXGATE_ADMIN_TOKEN", cluster::TOKEN)
        .env("FLEXGATE_ADMIN_ADDR", flexgate.admin().to_string())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    let took = began.elapsed().as_secs_f64();
    assert!(applied.success(), "the file is not applied");
    load.over.store(true, Ordering::Relaxed);
    runtime.block_on(asking).unwrap();
    println!(
        "a file of {} routes, {:.1} MB, is applied and served after {took:.2} s; meanwhile {} requests, {} failed, the slowest \
         took {:.1} ms",
        what.0,
        fs::metadata(&path).unwrap().len() as f64 / 1e6,
        load.sent.load(Ordering::Relaxed),
        load.failed.load(Ordering::Relaxed),
        load.slowest_us.load(Ordering::Relaxed) as f64 / 1e3,
    );
    took
}

/// A thousand requests a second.
#[derive(Default)]
struct Requests {
    sent: AtomicU64,
    failed: AtomicU64,
    slowest_us: AtomicU64,
    over: AtomicBool,
}

impl Requests {
    async fn ask(self: Arc<Self>, gateway: SocketAddr) {
        let mut connection = Connection::open(gateway).await.unwrap();
        let mut pace = interval(Duration::from_millis(1));
        while !self.over.load(Ordering::Relaxed) {
            pace.tick().await;
            let began = Instant::now();
            let answered = connection.get("/elsewhere").await;
            let took = u64::try_from(began.elapsed().as_micros()).unwrap();
            let fine = answered.is_ok_and(|answer| answer.status == StatusCode::OK);
            self.sent.fetch_add(1, Ordering::Relaxed);
            self.failed.fetch_add(u64::from(!fine), Ordering::Relaxed);
            self.slowest_us.fetch_max(took, Ordering::Relaxed);
        }
    }
}

/// Changes one of the routes at a time, and asks when the node serves the change.
async fn edits(addr: SocketAddr) {
    let token = cluster::TOKEN.to_owned();
    let admin = Admin { addr, token };
    let routes = admin
        .call(Method::GET, "/api/routes?limit=200", None)
        .await
        .json();
    let ids: Vec<String> = routes["items"]
        .as_array()
        .or(routes.as_array())
        .unwrap()
        .iter()
        .map(|route| route["id"].as_str().unwrap().to_owned())
        .collect();
    let mut took = Vec::new();
    for number in 0..EDITS {
        let path = format!("/api/routes/{}?wait=nodes", ids[number % ids.len()]);
        let change = json!({ "timeout": 5_001 + number });
        let answer = admin.call(Method::PATCH, &path, Some(change)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let node = &answer.json()["convergence"]["nodes"][0];
        took.push(node["tookMs"].as_f64().unwrap());
    }
    took.sort_by(f64::total_cmp);
    println!(
        "among {MANY} routes one edit is served {:.2} ms after its acknowledgement (p50), {:.2} ms (p99)",
        took[EDITS / 2],
        took[EDITS * 99 / 100]
    );
}

/// What a request costs, in turns.
fn requests(folder: &Path, clusters: [(&FlexGate, usize); 2]) {
    let mut ratios = Vec::new();
    let mut costs = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let mut round = Vec::new();
        for (place, (flexgate, routes)) in clusters.iter().enumerate() {
            let script = folder.join(format!("{routes}.lua"));
            fs::write(&script, script_of(*routes)).unwrap();
            let asked = Asked {
                script: Some(script),
                ..Asked::at(format!("http://127.0.0.1:{}/", flexgate.ports()[0]))
            };
            let measured = turn::run(Load::Wrk, &asked, &flexgate.pids(), TURN);
            assert_eq!(measured.errors, 0, "{measured:?}");
            costs[place].push(measured.cpu_us);
            round.push(measured.cpu_us);
        }
        ratios.push(round[1] / round[0]);
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let [few, many] = &mut costs;
    let (few, many, ratio) = (median(few), median(many), median(&mut ratios));
    println!(
        "a request costs {few:.2} us among {FEW} routes and {many:.2} us among {MANY}: {ratio:.3} times (turns: {:.3} to {:.3}), at \
         most {RATIO_MAX:.2} are asked: {}",
        ratios[0],
        ratios[ratios.len() - 1],
        held(ratio <= RATIO_MAX)
    );
}

/// Asks for every route as often as for any other.
fn script_of(routes: usize) -> String {
    format!(
        "local random = math.random\nmath.randomseed(os.time())\nrequest = function()\n  local n = random(0, {})\n  \
         return wrk.format('GET', string.format('/team-%03d/service-%06d/x', n % 317, n))\nend\n",
        routes - 1
    )
}
