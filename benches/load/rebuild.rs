//! Whether a projection that is made anew delays requests: 5,000 a second, in turns without and while outcomes are made anew
//! again and again. On the same cores; or, `apart`, with a core for the projector and PostgreSQL and one for all others.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use flexgate::{
    journal::jetstream::{Link, Names},
    projectors::{Answer, Ask, Projectors},
};
use flexgate_projections::Pace;
use http::StatusCode;
use sqlx::Connection as _;
use tokio::{
    task::JoinSet,
    time::{Instant, interval_at, sleep},
};

use crate::{
    client::Connection,
    cluster::{self, FlexGate, Recording},
    nginx::{Backend, WORKERS, is_installed},
};

const REQUESTS_PER_SECOND: u32 = 5_000;
/// Connections of the load; each sends its share at an even pace, no two at once.
const CONNECTIONS: u32 = 50;
/// How often each is loaded.
const TURNS: usize = 5;
/// How long a turn is.
const TURN: Duration = Duration::from_secs(10);
/// How long the stream is filled before.
const FILLING: Duration = Duration::from_secs(30);
/// The pause before it is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// What a timer may be late without a request being late.
const TICK: Duration = Duration::from_millis(2);
/// The answers that are told of: of a thousand, as many as this were quicker.
const PER_MILLE: [usize; 4] = [500, 990, 999, 1000];

/// A core for whoever is to stay apart.
#[derive(Debug, Clone, Copy)]
enum Cores {
    Serving = 0,
    Projecting = 1,
}

impl Cores {
    /// Everything that is started from now on runs there, and what runs here.
    fn stay(self) {
        let (core, own) = ((self as u8).to_string(), std::process::id().to_string());
        let status = Command::new("taskset")
            .args(["-acp", &core, &own])
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "taskset did not do it");
    }
}

/// Runs it and prints what it showed.
pub async fn run(is_apart: bool) {
    if !is_installed("nginx") {
        println!("the bench needs nginx: apt install nginx-light");
        return;
    }
    let stay = |cores: Cores| {
        if is_apart {
            cores.stay();
        }
    };
    let folder = tempfile::tempdir().unwrap();
    stay(Cores::Projecting);
    let postgres = cluster::postgres(folder.path()).await;
    stay(Cores::Serving);
    let backend = Backend::start(folder.path());
    let flexgate = FlexGate::start(folder.path(), 1, WORKERS, backend.port(), Recording::On).await;
    stay(Cores::Projecting);
    let projector = cluster::projector(folder.path(), flexgate.nats(), postgres.url());
    stay(Cores::Serving);
    let link = Link::open(flexgate.nats(), "bench").await.unwrap();
    let projectors = Projectors::new(link, &Names::new("bench").unwrap());
    let gateway = SocketAddr::from(([127, 0, 0, 1], flexgate.ports()[0]));

    load(gateway, FILLING).await;
    let mut paces = [None, Some(Pace::default()), Some(Pace::FULL)].map(During::new);
    for _ in 0..TURNS {
        for during in &mut paces {
            during.turn(gateway, (&projectors, postgres.url())).await;
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
    turns: Vec<Vec<u128>>,
}

impl During {
    fn new(pace: Option<Pace>) -> Self {
        Self {
            pace,
            begun: 0,
            turns: Vec::new(),
        }
    }

    async fn turn(&mut self, gateway: SocketAddr, (projectors, postgres): (&Projectors, &str)) {
        let Some(pace) = self.pace else {
            self.turns.push(load(gateway, TURN).await);
            return;
        };
        let rebuilding = rebuild_again_and_again(projectors, pace, &mut self.begun);
        self.turns.push(tokio::select! {
            micros = load(gateway, TURN) => micros,
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
            let slowest_of = |micros: &Vec<u128>| micros[(micros.len() * per_mille / 1000).max(1) - 1];
            let mut of_turns: Vec<_> = self.turns.iter().map(slowest_of).collect();
            of_turns.sort_unstable();
            print!(
                " {per_mille}\u{2030} {} us ({}-{}),",
                of_turns[of_turns.len() / 2],
                of_turns[0],
                of_turns[of_turns.len() - 1]
            );
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

/// Asks the gateway at an even pace. How long requests took, in microseconds, the quickest first.
async fn load(gateway: SocketAddr, turn: Duration) -> Vec<u128> {
    let mut connections = JoinSet::new();
    let (began, each) = (Instant::now(), Duration::from_secs(1) / REQUESTS_PER_SECOND);
    for number in 0..CONNECTIONS {
        connections.spawn(requests(gateway, began + each * number, began + turn));
    }
    let mut micros = connections.join_all().await.concat();
    micros.sort_unstable();
    micros
}

/// A request takes from when it was to be sent, so that what is late because the one before it took long counts as late.
async fn requests(gateway: SocketAddr, first: Instant, until: Instant) -> Vec<u128> {
    let mut connection = Connection::open(gateway).await.unwrap();
    let mut clock = interval_at(first, Duration::from_secs(1) * CONNECTIONS / REQUESTS_PER_SECOND);
    let mut micros = Vec::new();
    loop {
        let due = clock.tick().await;
        if due >= until {
            return micros;
        }
        let now = Instant::now();
        let began = if now - due < TICK { now } else { due };
        let answer = connection.get("/bench").await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        micros.push(began.elapsed().as_micros());
    }
}
