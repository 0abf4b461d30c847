//! `deploy/nats/accounts.conf`: what each user may not do, asked of the servers themselves.

use flexgate::{
    journal::jetstream::{Link, Names},
    projectors,
};
use futures_util::StreamExt as _;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

use super::topology::{Nats, created, knows, password};
use crate::{
    client,
    fixtures::{LOOK_AGAIN, PATIENCE},
    upstream::Upstream,
};

/// A user's connection, as bare as it can be: an objection of the server belongs to what was sent last.
struct User(BufReader<TcpStream>);

impl User {
    async fn log_in(nats: &Nats, name: &str) -> Self {
        let mut user = Self(BufReader::new(TcpStream::connect(nats.address()).await.unwrap()));
        let login = json!({ "user": name, "pass": password(name), "verbose": false, "headers": true });
        let objections = user.says(&format!("CONNECT {login}\r\n")).await;
        assert_eq!(objections, "", "{name}");
        user
    }

    /// What the server objects to in these lines; nothing, if they are allowed.
    async fn says(&mut self, lines: &str) -> String {
        self.0
            .write_all(format!("{lines}PING\r\n").as_bytes())
            .await
            .unwrap();
        let mut objections = String::new();
        let reading = async {
            loop {
                let mut line = String::new();
                assert_ne!(
                    self.0.read_line(&mut line).await.unwrap(),
                    0,
                    "closed: {objections}"
                );
                match line.split_whitespace().next() {
                    Some("PONG") => return,
                    Some("-ERR") => objections.push_str(&line),
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, reading).await.expect("an answer");
        objections
    }

    async fn publishes(&mut self, subject: &str) -> String {
        self.says(&format!("PUB {subject} 0\r\n\r\n")).await
    }

    /// Asks for something that is to be answered on another subject, and waits until the server has answered such a
    /// question, asked after it, where it should.
    async fn asks(&mut self, name: &str, (subject, question): (&str, &str), answer_to: &str) {
        let length = question.len();
        let objections = self
            .says(&format!("PUB {subject} {answer_to} {length}\r\n{question}\r\n"))
            .await;
        assert_eq!(objections, "", "{subject}");
        let inbox = format!("_INBOX.{name}.here");
        self.says(&format!("SUB {inbox} 1\r\n")).await;
        let question = format!("PUB {subject} {inbox} {length}\r\n{question}\r\n");
        self.0.write_all(question.as_bytes()).await.unwrap();
        let answered = async {
            let mut line = String::new();
            while !line.starts_with("MSG") && !line.starts_with("HMSG") {
                line.clear();
                assert_ne!(self.0.read_line(&mut line).await.unwrap(), 0);
            }
        };
        timeout(PATIENCE, answered).await.expect("an answer");
    }
}

/// What each may publish.
const THEIRS: [(&str, &str); 6] = [
    ("gateway", "flexgate.alert.test"),
    ("gateway", "flexgate.metrics.node"),
    ("projector", "flexgate.deadletter.outcomes"),
    ("admin", "flexgate.alert.test"),
    ("admin", "flexgate.admin.refused"),
    ("admin", "flexgate.projection"),
];

#[tokio::test]
async fn nobody_may_do_what_is_not_theirs() {
    let nats = Nats::start().await;
    let only_the_operator = [
        "$JS.API.STREAM.CREATE.MORE",
        "$JS.API.STREAM.UPDATE.FLEXGATE_CONFIG",
        "$JS.API.STREAM.DELETE.FLEXGATE_CONFIG",
        "$JS.API.STREAM.PURGE.FLEXGATE_CONFIG",
        "$JS.API.STREAM.MSG.DELETE.FLEXGATE_CONFIG",
        "$JS.API.CONSUMER.DELETE.FLEXGATE_CONFIG.other",
    ];
    let others: [(&str, &[&str]); 4] = [
        (
            "gateway",
            &[
                "flexgate.config.route.a",
                "flexgate.rollup.hour.2026010100",
                "flexgate.deadletter.outcomes",
                "flexgate.admin.refused",
                "$JS.API.CONSUMER.CREATE.FLEXGATE_OUTCOMES",
                "$JS.API.STREAM.MSG.GET.FLEXGATE_OUTCOMES",
                "_INBOX.admin.answer",
            ],
        ),
        (
            "projector",
            &[
                "flexgate.config.route.a",
                "flexgate.outcome.node",
                "flexgate.admin.refused",
                "flexgate.serving.node",
                "$KV.FLEXGATE_NODES.node",
                "_INBOX.gateway.answer",
            ],
        ),
        (
            "admin",
            &[
                "flexgate.outcome.node",
                "flexgate.serving.node",
                "flexgate.rollup.hour.2026010100",
            ],
        ),
        ("operator", &["flexgate.config.route.a", "flexgate.outcome.node"]),
    ];
    for (name, subjects) in others {
        let mut user = User::log_in(&nats, name).await;
        let managing = only_the_operator.iter().filter(|_| name != "operator");
        for subject in subjects.iter().chain(managing) {
            let objections = user.publishes(subject).await;
            assert!(
                objections.contains("Permissions Violation"),
                "{name} {subject} {objections:?}"
            );
        }
        for subject in [">", "_INBOX.>", "flexgate.config.>", "$JS.API.>", "$KV.>"] {
            let objections = user.says(&format!("SUB {subject} 9\r\n")).await;
            assert!(
                objections.contains("Permissions Violation"),
                "{name} {subject} {objections:?}"
            );
        }
    }
    for (name, subject) in THEIRS {
        let objections = User::log_in(&nats, name).await.publishes(subject).await;
        assert_eq!(objections, "", "{name} {subject}");
    }
}

#[tokio::test]
async fn nobody_has_the_server_write_the_configuration_for_them() {
    let nats = Nats::start().await;
    let upstream = Upstream::replying(200).start().await;
    let (admin, gateway) = (
        nats.settings("admin", "admin"),
        nats.settings("gateway", "gateway"),
    );
    let _processes = [admin.start(), gateway.start()];
    let api = admin.api().await;
    knows(&api, 1).await;
    let before = created(&api, "a", &upstream).await;

    // What the server answers, or pushes, would be a message of CONFIG that nobody can read.
    let pushed = |stream: &str| {
        let config = json!({ "deliver_subject": "flexgate.config.route.a", "deliver_policy": "all", "ack_policy": "none" });
        json!({ "stream_name": stream, "config": config }).to_string()
    };
    let (nodes, rollups) = (pushed("KV_FLEXGATE_NODES"), pushed("FLEXGATE_ROLLUPS"));
    for (name, subject, question) in [
        ("gateway", "$JS.API.STREAM.INFO.FLEXGATE_CONFIG", ""),
        ("gateway", "flexgate.outcome.node", ""),
        ("gateway", "$JS.API.CONSUMER.CREATE.KV_FLEXGATE_NODES", &nodes),
        ("projector", "$JS.API.STREAM.INFO.FLEXGATE_OUTCOMES", ""),
        ("projector", "flexgate.rollup.hour.2026010100", ""),
        ("projector", "$JS.API.CONSUMER.CREATE.FLEXGATE_ROLLUPS", &rollups),
    ] {
        let mut user = User::log_in(&nats, name).await;
        user.asks(name, (subject, question), "flexgate.config.route.a")
            .await;
    }
    assert_eq!(
        created(&api, "b", &upstream).await,
        before + 1,
        "something came between"
    );
    assert_eq!(client::get(gateway.proxy, "/b").await.status, StatusCode::OK);
    let status = api.call(Method::GET, "/api/status", None).await.json();
    assert_eq!(status["journal"]["status"], "following", "{status}");
}

#[tokio::test]
async fn the_projector_is_asked_by_the_admin_api_and_nobody_else() {
    let nats = Nats::start().await;
    let names = Names::new("FLEXGATE").unwrap();
    let projector = Link::open(&nats.url("projector"), "test").await.unwrap();
    projector.connected().await;
    let client = projector.client();
    let mut questions = client
        .queue_subscribe(names.projection_subject(), "projectors".to_owned())
        .await
        .unwrap();
    client.flush().await.unwrap();
    let answering = async {
        let question = questions.next().await.unwrap();
        let answer = serde_json::to_vec(&projectors::Answer::Busy).unwrap();
        client
            .publish(question.reply.unwrap(), answer.into())
            .await
            .unwrap();
        client.flush().await.unwrap();
    };
    let admin = Link::open(&nats.url("admin"), "test").await.unwrap();
    admin.connected().await;
    let ask = projectors::Ask::Retry {
        projection: "outcomes".to_owned(),
        id: None,
    };
    let asking = projectors::Projectors::new(admin, &names);
    // Until the other servers have heard that somebody listens, nobody does.
    let asked = async {
        loop {
            match asking.ask(&ask).await {
                Err(projectors::AskError::Nobody) => tokio::time::sleep(LOOK_AGAIN).await,
                said => return said,
            }
        }
    };
    let both = timeout(PATIENCE, async { tokio::join!(answering, asked) });
    let ((), answer) = both.await.expect("an answer");
    assert_eq!(answer.unwrap(), projectors::Answer::Busy);
    let mut gateway = User::log_in(&nats, "gateway").await;
    let objections = gateway.publishes("flexgate.projection").await;
    assert!(objections.contains("Permissions Violation"), "{objections}");
}
