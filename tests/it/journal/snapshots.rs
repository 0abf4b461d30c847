//! Starting without a log.

use super::*;
use flexgate::{
    domain::{Stamp, evolve},
    journal::{
        Fold,
        snapshot::{self, Snapshots},
    },
};
use flexgate_schemas::{ApiKey, Event, Timestamp, key::SecretHash};
use std::fs;

fn reader<S: Store>(store: S, snapshots: &Snapshots) -> Running {
    let (alerts, raised) = Alerts::channel("test-node".parse().unwrap());
    let snapshot = snapshots.load();
    let options = Options {
        store,
        snapshot,
        serve: Box::new(|_, _| {}),
        alerts,
        writer: None,
    };
    let tasks = Tasks::new();
    Running {
        journal: Journal::start(options, &tasks),
        alerts: raised,
        tasks,
    }
}

#[tokio::test]
async fn a_node_starts_from_its_snapshot_while_the_log_is_away_and_catches_up_later() {
    let folder = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::in_folder(folder.path());
    let log = MemoryLog::new();
    let running = writer(log.clone());
    running.ready().await;
    running.create("a").await.unwrap();
    snapshots.save(&running.journal.view().fold).unwrap();
    running.create("b").await.unwrap();
    log.set_reachable(false);

    let restarted = reader(log.clone(), &snapshots);
    let view = restarted.journal.view();
    assert!(restarted.has("a") && !restarted.has("b"));
    assert!(view.from_snapshot && matches!(view.status, Status::Disconnected { .. }));
    log.set_reachable(true);
    let view = restarted.ready().await;
    assert!(restarted.has("b") && !view.from_snapshot);
    assert_eq!(view.state().hash(), running.journal.view().state().hash());
}

#[test]
fn a_snapshot_has_the_keys_and_is_altered_if_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::in_folder(folder.path());
    let mut fold = Fold {
        generation: 1,
        ..Fold::default()
    };
    for number in 0..25_u8 {
        let stamp = Stamp {
            revision: number.into(),
            at: Timestamp::default(),
        };
        let sha256 = SecretHash::of(&[number]);
        let terms = serde_json::from_str(r#"{"name":"app"}"#).unwrap();
        let key = ApiKey::new(sha256.derived_id(), sha256, terms);
        evolve(&mut fold.state, &Event::KeyCreated(key.into()), &stamp);
    }
    snapshots.save(&fold).unwrap();
    let loaded = snapshots.load().unwrap();
    assert_eq!(loaded.state, fold.state);
    assert_eq!(loaded.state.hash(), fold.state.hash());
    let file = fs::read_dir(folder.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let written = fs::read_to_string(&file).unwrap();
    fs::write(&file, written.replacen("app", "apq", 1)).unwrap();
    assert!(snapshots.load().is_none());
    fs::write(&file, written.trim_end_matches('}')).unwrap();
    assert!(snapshots.load().is_none());
}

#[tokio::test]
async fn a_snapshot_that_was_altered_is_passed_over_for_an_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::in_folder(folder.path());
    let running = writer(MemoryLog::new());
    running.ready().await;
    for id in ["a", "b", "c", "d", "e"] {
        running.create(id).await.unwrap();
        snapshots.save(&running.journal.view().fold).unwrap();
    }
    let mut files: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 3, "three are kept");
    assert_eq!(snapshots.load().unwrap().revision, 6);
    let newest = fs::read_to_string(&files[2]).unwrap();
    fs::write(&files[2], newest.replace("/e", "/x")).unwrap();
    assert_eq!(snapshots.load().unwrap().revision, 5);
    fs::write(&files[1], "").unwrap();
    fs::write(&files[0], "{}\n{}").unwrap();
    assert!(snapshots.load().is_none());
}

#[tokio::test]
async fn the_keeper_writes_the_last_state_before_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::in_folder(folder.path());
    let running = writer(MemoryLog::new());
    running.ready().await;
    let keeper = Tasks::new();
    keeper.spawn(snapshot::keep(
        snapshots.clone(),
        running.journal.watch(),
        keeper.clone(),
    ));
    let revision = running.create("a").await.unwrap();
    assert!(keeper.stop(PATIENCE).await);
    let loaded = snapshots.load().unwrap();
    assert_eq!(
        (loaded.revision, loaded.state.hash()),
        (revision, running.journal.view().state().hash())
    );
}
