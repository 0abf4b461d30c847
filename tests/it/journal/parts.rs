//! Large change sets: parts, and the one commit that makes them count.

use super::*;
use flexgate::journal::{Progress, snapshot::Snapshots};
use flexgate_schemas::{
    Commit, Event, Timestamp,
    commit::{Idempotency, PARTS_LEVEL},
    event::LogFenced,
    parts::{self, Part, PartRef},
};
use std::sync::Mutex;

super::for_every_store! {
    a_large_change_set_counts_as_a_whole
    parts_that_no_commit_names_are_never_applied
    a_reader_that_begins_between_the_parts_and_their_commit_misses_nothing
    imports_that_run_at_once_both_count
    an_edit_in_between_writes_no_part_twice
    a_commit_whose_parts_are_not_what_it_says_freezes_the_reader
    a_repeated_import_is_answered_as_before
}

/// More than one part of them.
const ROUTES: usize = 5_000;

fn import(name: &str) -> Transaction {
    let route = |number| {
        let id = format!("{name}-{number}");
        let path = format!("/{name}/{number}/and-so-on/*").parse().unwrap();
        Route::new(
            route_id(&id),
            path,
            "http://somewhere.example:8080/base".parse().unwrap(),
        )
    };
    fixtures::transaction(Command::Apply {
        upstreams: Vec::new(),
        routes: (0..ROUTES).map(route).collect(),
        settings: None,
        keys: Vec::new(),
        withheld: Vec::new(),
    })
}

async fn a_large_change_set_counts_as_a_whole<F: Faulty>() {
    let log = F::start().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let running = writer_serving(log.store(), seen.clone());
    running.ready().await;
    let progress = watch::Sender::new(Progress::Waiting);
    let committed = running
        .journal
        .transact_telling(import("a"), Some(progress.clone()))
        .await
        .unwrap();
    assert_eq!(committed.events.len(), ROUTES);
    assert_eq!(*progress.borrow(), Progress::Committing);
    let served = seen.lock().unwrap().clone();
    assert!(
        served.iter().all(|routes| [0, ROUTES].contains(routes)),
        "{served:?}"
    );

    let records = contents(&log.store()).await;
    let parts = records
        .iter()
        .filter(|record| record.subject.starts_with("part."))
        .count();
    assert!(parts > 1, "{parts} parts");
    assert_eq!(committed.revision, 1 + parts as u64 + 1);
    let last = records.last().unwrap();
    assert!(last.subject.starts_with("changeset.") && last.payload.len() < 10_000);
    let level: serde_json::Value = serde_json::from_slice(&last.payload).unwrap();
    assert_eq!(level["readerLevel"], PARTS_LEVEL);

    let fresh = writer(log.store());
    let view = fresh.ready().await;
    assert_eq!(view.state().routes().len(), ROUTES);
    assert_eq!(view.state(), running.journal.view().state());
    let told = running.journal.commit(committed.revision).await.unwrap().unwrap();
    assert_eq!(told.commit.events, committed.events);
    assert!(
        running.create("later").await.unwrap() > committed.revision,
        "and life goes on"
    );
}

async fn parts_that_no_commit_names_are_never_applied<F: Faulty>() {
    let log = F::start().await;
    let running = writer(log.store());
    running.ready().await;
    running.create("before").await.unwrap();
    let parts = in_parts(&["a", "b"]);
    for (number, part) in parts.iter().enumerate() {
        append(&log.store(), "part.dead", number, &part.payload).await;
    }
    assert_eq!(running.create("after").await.unwrap(), 2 + parts.len() as u64 + 1);
    for running in [&running, &writer(log.store())] {
        let view = running
            .view("complete", |view| view.state().routes().len() > 1)
            .await;
        assert_eq!(view.state().routes().len(), 2);
        assert!(running.has("before") && running.has("after"));
    }
}

async fn a_reader_that_begins_between_the_parts_and_their_commit_misses_nothing<F: Faulty>() {
    let log = F::start().await;
    let running = writer(log.store());
    running.ready().await;
    let folder = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::in_folder(folder.path());
    let parts = in_parts(&["a", "b", "c"]);
    let (first, others) = parts.split_first().unwrap();
    let mut named = vec![first.at(append(&log.store(), "part.x", 0, &first.payload).await)];
    let between = running.create("between").await.unwrap();
    snapshots.save(&running.journal.view().fold).unwrap();
    let begun = writer_from(log.store(), &snapshots);
    for (number, part) in (1..).zip(others) {
        // A second time, as a writer does that heard no answer; and one that is somebody else's.
        append(&log.store(), "part.y", number, &first.payload).await;
        append(&log.store(), "part.x", number, &part.payload).await;
        named.push(part.at(append(&log.store(), "part.x", number + 10, &part.payload).await));
    }
    let revision = commit(&log.store(), &running, named).await;
    assert!(revision > between);
    for running in [&running, &begun, &writer_from(log.store(), &snapshots)] {
        let view = running.view("complete", |view| view.revision() == revision).await;
        assert_eq!(view.state().routes().len(), 4);
        assert_eq!(view.state().hash(), begun.journal.view().state().hash());
    }
}

async fn imports_that_run_at_once_both_count<F: Faulty>() {
    let log = F::start().await;
    let (one, other) = (writer(log.store()), writer(log.store()));
    tokio::join!(one.ready(), other.ready());
    let (first, second) = tokio::join!(
        one.journal.transact(import("one")),
        other.journal.transact(import("other"))
    );
    let last = first.unwrap().revision.max(second.unwrap().revision);
    let of = async |running: &Running| {
        let view = running.view("at the end", |view| view.revision() == last).await;
        (view.state().routes().len(), view.state().hash())
    };
    assert_eq!(of(&one).await, of(&other).await);
    assert_eq!(of(&one).await.0, 2 * ROUTES);
}

async fn an_edit_in_between_writes_no_part_twice<F: Faulty>() {
    let log = F::start().await;
    let (importing, editing) = (writer(log.store()), writer(log.store()));
    tokio::join!(importing.ready(), editing.ready());
    let progress = watch::Sender::new(Progress::Waiting);
    let mut told = progress.subscribe();
    let edit = async {
        // It takes its time over so many routes, so that the edit comes first.
        let deciding = told.wait_for(|progress| *progress == Progress::Deciding);
        timeout(PATIENCE, deciding).await.unwrap().unwrap();
        editing.create("in-between").await.unwrap()
    };
    let (imported, edited) = tokio::join!(
        importing
            .journal
            .transact_telling(import("a"), Some(progress.clone())),
        edit
    );
    assert!(imported.unwrap().revision > edited);
    assert!(importing.has("in-between") && importing.has("a-0"));
    let records = contents(&log.store()).await;
    let parts = records
        .iter()
        .filter(|record| record.subject.starts_with("part."));
    let named = Commit::parts_of(&records.last().unwrap().payload);
    assert_eq!(parts.count(), named.len());
}

async fn a_commit_whose_parts_are_not_what_it_says_freezes_the_reader<F: Faulty>() {
    type Falsify = fn(&mut Vec<PartRef>);
    let cases: [(&str, Falsify); 5] = [
        ("not the one", |named| named[0].sequence = named[1].sequence),
        ("not the one", |named| named[0].sha256 = "0".repeat(64).into()),
        ("is not at sequence 1", |named| named[0].sequence = 1),
        ("is not at sequence 99", |named| named[1].sequence = 99),
        ("it has 1 events", |named| named[1].events = 2),
    ];
    for (expected, falsify) in cases {
        let log = F::start().await;
        let running = writer(log.store());
        running.ready().await;
        running.create("before").await.unwrap();
        let parts = in_parts(&["a", "b"]);
        let mut named = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            named.push(part.at(append(&log.store(), "part.x", number, &part.payload).await));
        }
        falsify(&mut named);
        commit(&log.store(), &running, named).await;
        let view = running.frozen().await;
        assert!(
            matches!(&view.status, Status::Frozen { reason } if reason.contains(expected)),
            "{expected}: {:?}",
            view.status
        );
        assert_eq!(view.state().routes().len(), 1, "{expected}: nothing of it counts");
    }
}

async fn a_repeated_import_is_answered_as_before<F: Faulty>() {
    let log = F::start().await;
    let running = writer(log.store());
    running.ready().await;
    let import = Transaction {
        idempotency: Some(Idempotency {
            key: "k".into(),
            request_hash: "h".into(),
        }),
        ..import("a")
    };
    let first = running.journal.transact(import.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::in_folder(folder.path());
    snapshots.save(&running.journal.view().fold).unwrap();
    let restarted = writer_from(log.store(), &snapshots);
    restarted.ready().await;
    for running in [&running, &restarted] {
        let again = running.journal.transact(import.clone()).await.unwrap();
        assert_eq!((again.revision, again.replayed), (first.revision, true));
        assert_eq!(again.events, first.events);
    }
}

/// A writer that notes how many routes it serves, each time that it serves others.
fn writer_serving<S: Store>(store: S, seen: Arc<Mutex<Vec<usize>>>) -> Running {
    writer_with(
        store,
        None,
        Box::new(move |fold, _| seen.lock().unwrap().push(fold.state.routes().len())),
    )
}

fn writer_from<S: Store>(store: S, snapshots: &Snapshots) -> Running {
    writer_with(store, snapshots.load(), Box::new(|_, _| {}))
}

/// The creations of these routes, each in a part of its own.
fn in_parts(ids: &[&str]) -> Vec<Part> {
    let event = |id: &&str| {
        let path = format!("/{id}").parse().unwrap();
        let route = Route::new(route_id(id), path, "http://localhost:1".parse().unwrap());
        Event::RouteCreated(route.into())
    };
    let events: Vec<Event> = ids.iter().map(event).collect();
    parts::cut(&events, 1).unwrap()
}

/// What somebody else writes, wherever the log ends by now.
async fn append<S: Store>(store: &S, subject: &str, number: usize, payload: &[u8]) -> u64 {
    let last = store.head().await.unwrap().last;
    let message = Outgoing {
        subject: format!("{subject}.{number}"),
        id: format!("{subject}.{number}.{last}"),
        headers: Vec::new(),
        payload: payload.to_vec().into(),
    };
    store.append(&message, last).await.unwrap()
}

/// A commit that names these parts, after everything that is there.
async fn commit<S: Store>(store: &S, running: &Running, parts: Vec<PartRef>) -> u64 {
    let view = running.ready().await;
    let place = (view.cluster().unwrap().clone(), view.generation(), view.chain());
    let event = Event::LogFenced(LogFenced {
        commit: "no-other".parse().unwrap(),
    });
    let id = "by-hand".parse().unwrap();
    let commit = Commit {
        reader_level: PARTS_LEVEL,
        parts: parts.into(),
        ..Commit::by_system(id, place, Timestamp::default(), event)
    };
    append(store, "changeset.by-hand", 0, &commit.to_payload()).await
}
