//! What a journal promises, whatever happens to its store.

use super::*;
use flexgate_schemas::{CommitId, alert::AlertKind, commit::Idempotency};

super::for_every_store! {
    an_edit_is_served_when_its_answer_comes
    a_killed_log_refuses_edits_and_loses_none
    a_log_that_hangs_loses_and_doubles_nothing
    a_reader_that_the_log_forgot_reads_on
    an_emptied_log_freezes_the_reader_until_the_same_history_is_back
    another_history_is_never_served
    a_genesis_of_a_higher_generation_is_adopted
    two_writers_lose_no_edit
    a_repeated_request_is_answered_once_and_another_one_with_its_key_is_refused
    a_commit_that_cannot_be_read_freezes_the_reader
}

async fn an_edit_is_served_when_its_answer_comes<F: Faulty>() {
    let log = F::start().await;
    let running = writer(log.store());
    assert_eq!(running.ready().await.revision(), 1, "the genesis");
    assert_eq!(running.create("a").await.unwrap(), 2);
    assert!(running.has("a"));
    let refused = running.journal.transact(other_value("a")).await.unwrap_err();
    assert!(
        matches!(refused, TransactError::Refused(Refusal::AlreadyExists { .. })),
        "{refused:?}"
    );
    let same = running.journal.transact(creation("a")).await.unwrap();
    assert_eq!((same.commit, same.revision), (None, 2), "nothing to do");
}

async fn a_killed_log_refuses_edits_and_loses_none<F: Faulty>() {
    let mut log = F::start().await;
    let running = writer(log.store());
    running.ready().await;
    running.create("before").await.unwrap();
    log.kill().await;
    running
        .view("disconnected", |view| {
            matches!(view.status, Status::Disconnected { .. })
        })
        .await;
    let refused = running.create("during").await.unwrap_err();
    assert!(
        matches!(refused, TransactError::Unavailable { .. }),
        "{refused:?}"
    );
    assert!(running.has("before"), "what was served is served on");
    log.revive().await;
    running.ready().await;
    running.create("after").await.unwrap();
    assert!(running.has("before") && running.has("after") && !running.has("during"));
}

async fn a_log_that_hangs_loses_and_doubles_nothing<F: Faulty>() {
    let mut log = F::start().await;
    let running = writer(log.store());
    running.ready().await;
    log.freeze();
    let during = running.create("during").await;
    log.thaw();
    running.ready().await;
    let after = running.create("after").await;
    let view = running.view("settled", |_| true).await;
    if let Ok(revision) = during {
        assert!(running.has("during") && revision > 1);
    }
    assert!(after.is_ok(), "{after:?}");
    // Read the log itself: no commit id twice, and the fold holds exactly what lies there.
    let (store, mut ids) = (log.store(), Vec::<CommitId>::new());
    for sequence in 1..=store.head().await.unwrap().last {
        let record = store.read(sequence).await.unwrap().unwrap();
        let commit = flexgate_schemas::Commit::from_payload(&record.payload).unwrap();
        assert!(!ids.contains(&commit.id), "{} is there twice", commit.id);
        ids.push(commit.id);
    }
    drop(view);
    let fresh = writer(store);
    fresh.ready().await;
    assert_eq!(
        fresh.journal.view().state().hash(),
        running.journal.view().state().hash()
    );
}

async fn a_reader_that_the_log_forgot_reads_on<F: Faulty>() {
    let mut log = F::start().await;
    let running = writer(log.store());
    running.ready().await;
    running.create("before").await.unwrap();
    log.forget_readers().await;
    let other = writer(log.store());
    other.ready().await;
    other.create("elsewhere").await.unwrap();
    running
        .view("aware of the other's edit", |view| {
            view.state().route(&route_id("elsewhere")).is_some()
        })
        .await;
}

async fn an_emptied_log_freezes_the_reader_until_the_same_history_is_back<F: Faulty>() {
    let mut log = F::start().await;
    let mut running = writer(log.store());
    running.ready().await;
    running.create("a").await.unwrap();
    let history = contents(&log.store()).await;
    log.recreate(Vec::new()).await;
    let view = running.frozen().await;
    assert!(
        view.state().route(&route_id("a")).is_some(),
        "the last good state is served"
    );
    let alert = timeout(PATIENCE, running.alerts.recv()).await.unwrap().unwrap();
    assert!(
        matches!(alert.kind, AlertKind::JournalFrozen { revision: 2, .. }),
        "{alert:?}"
    );
    let refused = running.create("b").await.unwrap_err();
    assert!(matches!(refused, TransactError::Frozen { .. }), "{refused:?}");
    log.recreate(history).await;
    running.ready().await;
    assert_eq!(running.create("b").await.unwrap(), 3);
    let alert = timeout(PATIENCE, running.alerts.recv()).await.unwrap().unwrap();
    assert!(
        matches!(alert.kind, AlertKind::JournalThawed { revision: 2 }),
        "once frozen, once thawed: {alert:?}"
    );
}

async fn another_history_is_never_served<F: Faulty>() {
    let mut log = F::start().await;
    let running = writer(log.store());
    running.ready().await;
    running.create("ours").await.unwrap();
    let stranger = InMemory::start().await;
    let theirs = writer(stranger.store());
    theirs.ready().await;
    for id in ["x", "y", "z"] {
        theirs.create(id).await.unwrap();
    }
    log.recreate(contents(&stranger.store()).await).await;
    let view = running.frozen().await;
    assert!(view.state().route(&route_id("ours")).is_some() && view.state().route(&route_id("z")).is_none());
}

async fn a_genesis_of_a_higher_generation_is_adopted<F: Faulty>() {
    let mut log = F::start().await;
    let running = writer(log.store());
    running.ready().await;
    running.create("old").await.unwrap();
    let genesis = contents(&log.store()).await.remove(0);
    let mut commit = flexgate_schemas::Commit::from_payload(&genesis.payload).unwrap();
    (commit.generation, commit.id) = (2, "fork".parse().unwrap());
    log.recreate(vec![Record {
        payload: commit.to_payload().into(),
        ..genesis
    }])
    .await;
    let view = running
        .view("of generation 2", |view| view.generation() == 2)
        .await;
    assert_eq!((view.revision(), view.state().routes().len()), (1, 0));
    running.ready().await;
    assert_eq!(running.create("new").await.unwrap(), 2);
}

async fn two_writers_lose_no_edit<F: Faulty>() {
    const EACH: usize = 40;
    let log = F::start().await;
    let (one, other) = (writer(log.store()), writer(log.store()));
    tokio::join!(one.ready(), other.ready());
    let write = async |running: &Running, name: &str| {
        for count in 0..EACH {
            running.create(&format!("{name}-{count}")).await.unwrap();
        }
    };
    tokio::join!(write(&one, "one"), write(&other, "other"));
    let last = log.store().head().await.unwrap().last;
    for running in [&one, &other] {
        let view = running.view("at the end", |view| view.revision() == last).await;
        assert_eq!(view.state().routes().len(), 2 * EACH);
    }
    assert_eq!(
        one.journal.view().state().hash(),
        other.journal.view().state().hash()
    );
    assert!(one.tasks.stop(PATIENCE).await && other.tasks.stop(PATIENCE).await);
}

async fn a_repeated_request_is_answered_once_and_another_one_with_its_key_is_refused<F: Faulty>() {
    let log = F::start().await;
    let running = writer(log.store());
    running.ready().await;
    let request = |id: &str, hash: &str| Transaction {
        idempotency: Some(Idempotency {
            key: "k".into(),
            request_hash: hash.into(),
        }),
        ..creation(id)
    };
    let first = running.journal.transact(request("a", "h1")).await.unwrap();
    let again = running.journal.transact(request("a", "h1")).await.unwrap();
    assert_eq!(
        (again.revision, again.replayed, &again.events),
        (first.revision, true, &first.events)
    );
    let refused = running.journal.transact(request("b", "h2")).await.unwrap_err();
    assert!(matches!(refused, TransactError::KeyReused), "{refused:?}");
    assert_eq!(log.store().head().await.unwrap().last, 2);
}

async fn a_commit_that_cannot_be_read_freezes_the_reader<F: Faulty>() {
    let log = F::start().await;
    let running = writer(log.store());
    running.ready().await;
    running.create("a").await.unwrap();
    let mut commit: serde_json::Value =
        serde_json::from_slice(&contents(&log.store()).await.pop().unwrap().payload).unwrap();
    commit["readerLevel"] = 99.into();
    let message = Outgoing {
        subject: "route.b".into(),
        id: "from-the-future".into(),
        headers: Vec::new(),
        payload: commit.to_string().into(),
    };
    log.store().append(&message, 2).await.unwrap();
    let view = running.frozen().await;
    assert_eq!(view.revision(), 2);
    assert!(
        matches!(&view.status, Status::Frozen { reason } if reason.contains("schema level 99")),
        "{:?}",
        view.status
    );
}

fn other_value(id: &str) -> Transaction {
    let route = Route::new(
        route_id(id),
        "/other".parse().unwrap(),
        "http://localhost:2".parse().unwrap(),
    );
    Transaction {
        command: Command::CreateRoute(route),
        ..creation(id)
    }
}
