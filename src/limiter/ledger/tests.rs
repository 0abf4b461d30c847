use std::path::PathBuf;

use flexgate_schemas::rate_limit::OnRedisFailure;
use proptest::{prelude::*, test_runner::TestRunner};
use redis::aio::MultiplexedConnection;

use super::*;
use crate::{
    devstack::{Binaries, Durability, Server, ServerOptions},
    limiter::{period, window},
};

const NODES: usize = 3;
/// As in `desk`: how much earlier a node stops than Redis takes back.
const MARGIN: u64 = 100_000;

fn closed(rule: Rule) -> Terms {
    Terms {
        rule,
        strict: false,
        without_redis: OnRedisFailure::Closed,
    }
}

fn rules() -> impl Strategy<Value = Rule> {
    prop_oneof![
        (1u64..500, 1u64..200, 1000u64..60_000_000)
            .prop_map(|(requests, burst, window)| Rule::Bucket(bucket::Rule::new(requests, window, burst))),
        (1u64..300, 1000u64..10_000_000)
            .prop_map(|(max, window)| Rule::Window(window::Rule::new(max, window))),
        (1u64..300, any::<bool>()).prop_map(|(max, day)| Rule::Period(period::Rule {
            max,
            unit: if day {
                period::Unit::Day
            } else {
                period::Unit::Month
            },
        })),
    ]
}

// The twin.

fn calls() -> impl Strategy<Value = Call> {
    let counts = (0u64..40, 0u64..10, 0u64..20, 0u64..60);
    let told = (0u64..400, 0u64..6, any::<bool>(), 0u64..3, 0u64..3);
    (1u64..50, counts, told, any::<bool>(), 0u64..4).prop_map(
        |(
            seq,
            (held, returned, need, wanted),
            (told, told_version, told_forced, end, born),
            strict,
            own_uses,
        )| {
            Call {
                seq,
                held,
                returned,
                need,
                wanted: wanted.max(need),
                strict,
                told,
                told_version,
                told_born: [0, START, 7][usize::try_from(born).unwrap()],
                told_forced,
                told_end: period::Unit::Day.end(START) * end.min(1),
                own_uses,
            }
        },
    )
}

/// Somewhere in 2026.
const START: u64 = 1_790_000_000_000_000;

#[test]
fn the_script_decides_as_the_ledger_does() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let data = tempfile::tempdir().unwrap();
    let (server, connection) = runtime.block_on(valkey(data.path().to_owned()));
    let count = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(400)
    });
    let steps = proptest::collection::vec((pauses(), 0..NODES, calls()), 1..40);
    let lost = proptest::option::of(0u64..4_000_000);
    runner
        .run(&(rules(), steps, lost), |(rule, steps, lost)| {
            count.set(count.get() + 1);
            let key = format!("budget-{}", count.get());
            runtime.block_on(compare(connection.clone(), &key, closed(rule), steps, lost))
        })
        .unwrap();
    runtime.block_on(server.stop());
}

fn pauses() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0u64..3_000_000]
}

async fn compare(
    mut connection: MultiplexedConnection,
    key: &str,
    terms: Terms,
    steps: Vec<(u64, usize, Call)>,
    lost: Option<u64>,
) -> Result<(), TestCaseError> {
    let script = redis::Script::new(include_str!("../ledger.lua"));
    let marker = format!("{key}-marker");
    let _: () = redis::cmd("HSET")
        .arg(&marker)
        .arg("t")
        .arg(1)
        .query_async(&mut connection)
        .await
        .unwrap();
    let mut ledger = Ledger::default();
    if let Some(before) = lost {
        let lost = START - before;
        let _: () = redis::cmd("HSET")
            .arg(&marker)
            .arg("l")
            .arg(lost)
            .query_async(&mut connection)
            .await
            .unwrap();
        ledger = Ledger::doubted(&terms.rule, lost);
    }
    let mut now = START;
    for (pause, node, call) in steps {
        now += pause;
        let terms = Terms {
            strict: call.strict,
            ..terms
        };
        let node = format!("node-{node}");
        let mut invocation = script.prepare_invoke();
        invocation.key(key).key(&marker);
        for argument in call.arguments(now, &node, &terms) {
            invocation.arg(argument);
        }
        let answered: Vec<i64> = invocation.invoke_async(&mut connection).await.unwrap();
        let expected = ledger.call(&terms, now, &node, &call);
        prop_assert_eq!(
            Reply::read(&answered),
            expected,
            "{:?} at {} of {:?}",
            call,
            now,
            terms
        );
    }
    Ok(())
}

async fn valkey(data_dir: PathBuf) -> (Server, MultiplexedConnection) {
    let binaries = Binaries::fetched_into(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".flexgate/bin"));
    let server = Server::valkey(ServerOptions {
        data_dir,
        binary: binaries.valkey().await.unwrap(),
        port: None,
        durability: Durability::Test,
    })
    .await
    .unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    (server, connection)
}

// What it is good for.

#[derive(Debug, Clone, Copy)]
enum Step {
    Pass(u64),
    Spend(usize, u64),
    /// A call is composed, or reaches Redis, or its answer reaches the node.
    Go(usize, u64, bool),
    /// The node gives up on the call that is under way: it may still reach Redis.
    GiveUp(usize),
    /// A call that was given up reaches Redis.
    Late(usize),
    Die(usize),
    /// Redis comes back with nothing.
    Wipe,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u64..400_000).prop_map(Step::Pass),
        1 => (0u64..4_000_000).prop_map(Step::Pass),
        8 => (0..NODES, 1u64..40).prop_map(|(node, tokens)| Step::Spend(node, tokens)),
        12 => (0..NODES, 0u64..60, prop::bool::weighted(0.1)).prop_map(|(node, wanted, back)| Step::Go(node, wanted, back)),
        1 => (0..NODES).prop_map(Step::GiveUp),
        1 => (0..NODES).prop_map(Step::Late),
        1 => (0..NODES).prop_map(Step::Die),
    ];
    prop::collection::vec(step, 1..300)
}

fn steps_with_losses() -> impl Strategy<Value = Vec<Step>> {
    (steps(), prop::collection::vec(0usize..300, 0..4)).prop_map(|(mut steps, losses)| {
        for place in losses {
            steps.insert(place.min(steps.len()), Step::Wipe);
        }
        steps
    })
}

/// A node as far as it matters: what it holds, until when, and what it is waiting for.
#[derive(Debug, Default)]
struct Node {
    name: String,
    tokens: u64,
    until: u64,
    seq: u64,
    version: u64,
    born: u64,
    sent: Option<(u64, Call)>,
    answered: Option<(u64, Option<Reply>)>,
    given_up: Vec<Call>,
}

impl Node {
    fn compose(&mut self, now: u64, wanted: u64, back: bool) -> Call {
        if now >= self.until {
            self.tokens = 0;
        }
        let returned = if back { std::mem::take(&mut self.tokens) } else { 0 };
        self.seq += 1;
        Call {
            seq: self.seq,
            held: self.tokens,
            returned,
            need: wanted / 2,
            wanted,
            told_version: self.version,
            told_born: self.born,
            ..Call::default()
        }
    }

    fn learn(&mut self, sent: u64, reply: Option<Reply>) {
        let Some(reply) = reply else { return };
        if !reply.kept {
            self.tokens = 0;
        }
        self.tokens += reply.granted;
        self.until = sent + LEASE - MARGIN;
        (self.version, self.born) = (reply.version, reply.born);
    }
}

/// The times at which tokens were spent.
fn play(rule: Rule, steps: Vec<Step>) -> Vec<u64> {
    let terms = closed(rule);
    let mut ledger = Ledger::default();
    let (mut now, mut spent, mut births) = (START, Vec::new(), 0);
    let mut birth = || {
        births += 1;
        Node {
            name: format!("node-{births}"),
            ..Node::default()
        }
    };
    let mut nodes: Vec<Node> = (0..NODES).map(|_| birth()).collect();
    for step in steps {
        match step {
            Step::Pass(time) => now += time,
            Step::Spend(node, tokens) => {
                let node = &mut nodes[node];
                let tokens = if now < node.until {
                    tokens.min(node.tokens)
                } else {
                    0
                };
                node.tokens -= tokens;
                spent.extend((0..tokens).map(|_| now));
            }
            Step::Go(node, wanted, back) => {
                let node = &mut nodes[node];
                if let Some((sent, reply)) = node.answered.take() {
                    node.learn(sent, reply);
                } else if let Some((sent, call)) = node.sent.take() {
                    node.answered = Some((sent, ledger.call(&terms, now, &node.name, &call)));
                } else {
                    node.sent = Some((now, node.compose(now, wanted, back)));
                }
            }
            Step::GiveUp(node) => {
                let node = &mut nodes[node];
                node.answered = None;
                node.given_up.extend(node.sent.take().map(|(_, call)| call));
            }
            Step::Late(node) => {
                let node = &mut nodes[node];
                if let Some(call) = node.given_up.pop() {
                    let _nobody_reads_it = ledger.call(&terms, now, &node.name, &call);
                }
            }
            Step::Die(node) => nodes[node] = birth(),
            Step::Wipe => ledger = Ledger::doubted(&rule, now),
        }
    }
    spent
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn in_no_time_do_all_nodes_together_spend_more_than_the_burst_and_the_rate(
        (requests, burst) in (1u64..200, 1u64..100), steps in steps_with_losses(),
    ) {
        let rule = bucket::Rule::new(requests, 1_000_000, burst);
        let mut bucket = Bucket::default();
        for (number, time) in play(Rule::Bucket(rule), steps).into_iter().enumerate() {
            bucket.pass(&rule, time);
            let (granted, debt) = gcra(&rule, bucket.debt, 0, 1);
            prop_assert_eq!(granted, 1, "token {} at {}", number, time);
            bucket.debt = debt;
        }
    }

    #[test]
    fn in_no_window_do_all_nodes_together_spend_more_than_its_number(
        (max, window) in (1u64..100, 100_000u64..5_000_000), steps in steps_with_losses(),
    ) {
        let spent = play(Rule::Window(window::Rule::new(max, window)), steps);
        for (first, last) in spent.iter().zip(spent.iter().skip(usize::try_from(max).unwrap())) {
            prop_assert!(last - first >= window, "{} and {}", first, last);
        }
    }

    #[test]
    fn in_no_day_do_all_nodes_together_spend_more_than_their_quota(max in 1u64..100, steps in steps()) {
        let spent = play(Rule::Period(period::Rule { max, unit: period::Unit::Day }), steps);
        let mut counts = BTreeMap::<u64, u64>::new();
        for time in spent {
            *counts.entry(period::Unit::Day.end(time)).or_default() += 1;
        }
        prop_assert!(counts.values().all(|count| *count <= max));
    }
}

#[test]
fn a_bucket_that_many_want_is_spent_to_the_last_token() {
    let rule = bucket::Rule::new(1000, 1_000_000, 100);
    let terms = closed(Rule::Bucket(rule));
    let mut ledger = Ledger::default();
    let mut spent = 0;
    for (seq, now) in (START..START + 10_000_000).step_by(3_000).enumerate() {
        let node = format!("node-{}", seq % 3);
        let call = Call {
            seq: seq as u64 + 1,
            need: 1,
            wanted: 10,
            ..Call::default()
        };
        spent += ledger.call(&terms, now, &node, &call).unwrap().granted;
    }
    assert!((10_000..=10_100).contains(&spent), "{spent}");
}
