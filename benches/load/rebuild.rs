//! Whether a projection that is made anew delays requests: 5,000 a second, on the same cores, in turns without and while
//! outcomes are made anew again and again.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use flexgate::{
    journal::jetstream::{Link, Names},
    projectors::{Answer, Ask, Projectors},
};
use flexgate_projections::Pace;
use sqlx::Connection as _;
use tokio::{process::Command, time::sleep};

use crate::{
    cluster::{self, FlexGate, Recording},
    nginx::{Backend, WORKERS, is_installed},
};

const REQUESTS_PER_SECOND: u32 = 5_000;
/// Connections of the load; each sends its share at an even pace.
const CONNECTIONS: u32 = 50;
/// How often each is loaded.
const TURNS: usize = 7;
/// How long a turn is.
const TURN: Duration = Duration::from_secs(10);
/// How long the stream is filled before.
const FILLING: Duration = Duration::from_secs(30);
/// The pause before it is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// The answers that are told of: of a thousand, as many as this were quicker.
const PER_MILLE: [usize; 4] = [500, 990, 999, 1000];

/// Runs it and prints what it showed.
pub async fn run() {
    if !is_installed("nginx") || !is_installed("h2load") {
        println!("the bench needs nginx and h2load: apt install nginx-light nghttp2-client");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::start(folder.path());
    let flexgate = FlexGate::start(folder.path(), 1, WORKERS, backend.port(), Recording::On).await;
    let postgres = cluster::postgres(folder.path()).await;
    let projector = cluster::projector(folder.path(), flexgate.nats(), postgres.url());
    let link = Link::open(flexgate.nats(), "bench").await.unwrap();
    let projectors = Projectors::new(link, &Names::new("bench").unwrap());
    let load = Load {
        port: flexgate.ports()[0],
        log: folder.path().join("h2load.log"),
    };

    load.micros(FILLING).await;
    let mut paces = [None, Some(Pace::default()), Some(Pace::FULL)].map(During::new);
    for _ in 0..TURNS {
        for during in &mut paces {
            during.turn(&load, (&projectors, postgres.url())).await;
        }
    }
    for during in &paces {
        during.say();
    }
    drop(projector);
    postgres.stop().await;
}

/// What goes on meanwhile, and what requests took then.
struct During {
    /// At which pace outcomes are made anew; none if they are not.
    pace: Option<Pace>,
    /// How often that was begun.
    begun: u32,
    /// How long requests took in each turn, in microseconds, the quickest first.
    turns: Vec<Vec<u64>>,
}

impl During {
    fn new(pace: Option<Pace>) -> Self {
        Self {
            pace,
            begun: 0,
            turns: Vec::new(),
        }
    }

    async fn turn(&mut self, load: &Load, (projectors, postgres): (&Projectors, &str)) {
        let Some(pace) = self.pace else {
            self.turns.push(load.micros(TURN).await);
            return;
        };
        let rebuilding = rebuild_again_and_again(projectors, pace, &mut self.begun);
        self.turns.push(tokio::select! {
            micros = load.micros(TURN) => micros,
            () = rebuilding => unreachable!("it goes on"),
        });
        all_have_ended(postgres).await;
    }

    /// Of what was quicker than so many of a thousand, the median of all turns.
    fn say(&self) {
        match self.pace {
            None => print!("without:"),
            Some(pace) => print!("at a pace of {} %, begun {} times:", u8::from(pace), self.begun),
        }
        for per_mille in PER_MILLE {
            let slowest_of = |micros: &Vec<u64>| micros[(micros.len() * per_mille / 1000).max(1) - 1];
            let mut of_turns: Vec<u64> = self.turns.iter().map(slowest_of).collect();
            of_turns.sort_unstable();
            print!(" {per_mille}\u{2030} {} us,", of_turns[of_turns.len() / 2]);
        }
        println!(" {} requests", self.turns.iter().map(Vec::len).sum::<usize>());
    }
}

/// Asks for it as soon as it has ended.
async fn rebuild_again_and_again(projectors: &Projectors, pace: Pace, begun: &mut u32) {
    let ask = Ask::Rebuild {
        projection: "outcomes".to_owned(),
        verify: false,
        pace,
        actor: "bench".to_owned(),
    };
    loop {
        if matches!(projectors.ask(&ask).await, Ok(Answer::Begun { .. })) {
            *begun += 1;
        }
        sleep(ASK_AGAIN).await;
    }
}

/// Waits until nothing is made anew any more.
async fn all_have_ended(postgres: &str) {
    let mut database = flexgate_projections::connect(postgres).await.unwrap();
    let under_way = "SELECT count(*) FROM flexgate.projection_rebuilds WHERE phase NOT IN ('done', 'failed')";
    while sqlx::query_scalar::<_, i64>(under_way)
        .fetch_one(&mut database)
        .await
        .unwrap()
        > 0
    {
        sleep(ASK_AGAIN).await;
    }
    database.close().await.unwrap();
}

/// Who asks the gateway, at an even pace.
struct Load {
    port: u16,
    /// What `h2load` writes of each request.
    log: PathBuf,
}

impl Load {
    /// How long requests took, in microseconds, the quickest first.
    async fn micros(&self, turn: Duration) -> Vec<u64> {
        let _fresh = tokio::fs::remove_file(&self.log).await;
        let status = Command::new("h2load")
            .args(["--h1", "-t1", &format!("-c{CONNECTIONS}")])
            .arg(format!("--rps={}", REQUESTS_PER_SECOND / CONNECTIONS))
            .arg(format!("-D{}", turn.as_secs()))
            .arg(format!("--log-file={}", self.log.display()))
            .arg(format!("http://127.0.0.1:{}/bench", self.port))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status();
        assert!(status.await.unwrap().success());
        read(&self.log).await
    }
}

/// A line has when the request began, the status of the answer, and how long that took.
async fn read(log: &Path) -> Vec<u64> {
    let lines = tokio::fs::read_to_string(log).await.unwrap();
    let mut micros: Vec<u64> = lines
        .lines()
        .map(|line| line.split('\t').nth(2).unwrap().parse().unwrap())
        .collect();
    micros.sort_unstable();
    micros
}
