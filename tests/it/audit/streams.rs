//! What the tables tell and what the streams themselves tell is the same, in the same order.

use flexgate::app::projector::Refused;
use serde_json::{Value, json};

use super::{Call, Running};
use crate::{admin::logs::told, program::Settings, projections::rebuild::rebuild_from};

/// A history with something done and something not done in turns.
async fn history(running: &Running) -> usize {
    for number in 0..6 {
        let call = Call::new("put", "/api/settings", format!("call-{number}"));
        let answer = running
            .send(&call, json!({ "timeout": format!("{}s", number + 1) }))
            .await;
        assert!(answer.status.is_success());
        let call = Call::new("delete", "/api/routes/none", format!("call-{number}"));
        running.send(&call, Value::Null).await;
    }
    let nobody = Call::new("delete", "/api/routes/none", "nobody".to_owned()).by_nobody();
    running.send(&nobody, Value::Null).await;
    running.entries("", 14).await.len()
}

#[tokio::test]
async fn tables_and_streams_tell_the_same_page_by_page() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let running = Running::start(folder.path(), |settings| settings).await;
    let all = history(&running).await;
    // A process without a database has nothing but the streams.
    let settings = Settings::new("admin", other.path(), (running.nats, &running.prefix));
    let _alone = settings.start();
    let alone = settings.api().await;
    let newest = running.read("/api/config/history?limit=1").await[0]["revision"].to_string();
    let from_streams = async |target: &str| {
        // It has just begun to read.
        let newest = [("flexgate-min-revision", &*newest)];
        let answer = alone.call_with(http::Method::GET, target, None, newest).await;
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        answer
    };
    for filter in [
        "",
        "?actor=admin",
        "?text=refused",
        "?text=denied",
        "?correlation=call-3",
        "?address=127.0.0.1&source=api",
        "?kind=settings",
        "?page=2&pageSize=3",
        "?page=5&pageSize=3",
        "?revision=3",
    ] {
        let target = format!("/api/logs{filter}");
        let (tables, streams) = (running.read(&target).await, from_streams(&target).await.json());
        assert_eq!(
            (&tables["readFrom"], &streams["readFrom"]),
            (&json!("tables"), &json!("log"))
        );
        assert_eq!(told(&tables), told(&streams), "{filter}");
    }
    // The link of either way goes on in the other.
    let (mut paged, mut target, mut turn) = (Vec::new(), "/api/logs?pageSize=3".to_owned(), 0);
    loop {
        let answer = if turn % 2 == 0 {
            running.api.call(http::Method::GET, &target, None).await
        } else {
            from_streams(&target).await
        };
        paged.extend(told(&answer.json()));
        turn += 1;
        let Some(link) = answer.headers.get("link") else {
            break;
        };
        let link = link.to_str().unwrap();
        target = link[1..link.find('>').unwrap()].to_owned();
    }
    let whole = running.read("/api/logs?pageSize=200").await;
    assert_eq!((paged.len(), paged), (all, told(&whole)));
}

#[tokio::test]
async fn to_tell_it_all_again_tells_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "SELECT to_jsonb(l)::text FROM flexgate.audit_log l ORDER BY stream, history, sequence";
    let running = Running::start(folder.path(), |settings| settings).await;
    history(&running).await;
    let before = running.database.rows(rows).await;
    running
        .database
        .rows("UPDATE flexgate.projection_checkpoint SET sequence = 0, epoch = epoch + 1 WHERE projection = 'admin_events' RETURNING projection")
        .await;
    // The projector finds that it was taken over from, and begins again; what comes now is behind all of that.
    let last = Call::new("delete", "/api/routes/none", "last".to_owned());
    running.send(&last, Value::Null).await;
    running.entry("correlation=last").await;
    let after = running.database.rows(rows).await;
    assert!(
        before.iter().all(|row| after.contains(row)),
        "{before:#?} {after:#?}"
    );
    assert_eq!(after.len(), before.len() + 1);
}

#[tokio::test]
async fn made_anew_from_the_stream_it_is_the_same_and_what_the_stream_has_let_go_of_stays() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), |settings| settings).await;
    history(&running).await;
    let told = "SELECT to_jsonb(l)::text FROM flexgate.audit_log l ORDER BY stream, history, sequence";
    let before = running.database.rows(told).await;
    let mut stream = Refused::new(running.link.clone(), &running.names);
    let projection = ("admin_events", &*running.database.url);
    let compared = rebuild_from(&mut stream, projection, true).await.unwrap();
    assert!(compared.is_same(), "{compared:?}");
    // Of each subject the oldest go first, so that the gap is anywhere.
    let admin = running
        .link
        .jetstream()
        .get_stream(running.names.admin())
        .await
        .unwrap();
    admin.delete_message(3).await.unwrap();
    for verify in [false, true] {
        let compared = rebuild_from(&mut stream, projection, verify).await;
        assert!(compared.is_none_or(|compared| compared.is_same()));
        assert_eq!(running.database.rows(told).await, before);
    }
}
