//! What a store promises.

use super::*;

super::for_every_store! {
    an_append_is_taken_only_at_the_expected_place
    of_two_writers_that_race_exactly_one_wins
    a_repeated_append_is_stored_once
    a_subscription_delivers_everything_in_order_and_then_what_comes
    a_message_is_read_by_its_sequence
}

fn message(id: &str) -> Outgoing {
    let payload = format!("payload of {id}").into();
    Outgoing {
        subject: format!("route.{id}"),
        id: id.to_owned(),
        headers: vec![("ce-id", id.to_owned())],
        payload,
    }
}

async fn an_append_is_taken_only_at_the_expected_place<F: Faulty>() {
    let log = F::start().await;
    let store = log.store();
    assert_eq!(store.head().await.unwrap(), Head { first: 1, last: 0 });
    assert_eq!(store.append(&message("a"), 0).await, Ok(1));
    assert_eq!(store.append(&message("b"), 0).await, Err(AppendError::Conflict));
    assert_eq!(store.append(&message("b"), 2).await, Err(AppendError::Conflict));
    assert_eq!(store.append(&message("b"), 1).await, Ok(2));
    assert_eq!(store.head().await.unwrap(), Head { first: 1, last: 2 });
}

async fn of_two_writers_that_race_exactly_one_wins<F: Faulty>() {
    let log = F::start().await;
    for round in 0..50 {
        let (one, other) = (log.store(), log.store());
        let (first, second) = (
            message(&format!("one-{round}")),
            message(&format!("other-{round}")),
        );
        let results = tokio::join!(one.append(&first, round), other.append(&second, round));
        let wins = [&results.0, &results.1]
            .into_iter()
            .filter(|result| **result == Ok(round + 1))
            .count();
        assert_eq!(wins, 1, "{results:?}");
    }
}

async fn a_repeated_append_is_stored_once<F: Faulty>() {
    let log = F::start().await;
    let store = log.store();
    assert_eq!(store.append(&message("a"), 0).await, Ok(1));
    let repeated = store.append(&message("a"), 0).await;
    assert!(
        matches!(repeated, Ok(1) | Err(AppendError::Conflict)),
        "{repeated:?}"
    );
    assert_eq!(store.head().await.unwrap().last, 1);
}

async fn a_subscription_delivers_everything_in_order_and_then_what_comes<F: Faulty>() {
    let log = F::start().await;
    let store = log.store();
    for sequence in 0..300 {
        store
            .append(&message(&sequence.to_string()), sequence)
            .await
            .unwrap();
    }
    let mut subscription = store.subscribe(10).await.unwrap();
    for sequence in 11..=300 {
        let record = timeout(PATIENCE, subscription.next()).await.unwrap().unwrap();
        assert_eq!(
            (record.sequence, &*record.subject),
            (sequence, &*format!("route.{}", sequence - 1))
        );
    }
    assert!(subscription.ready().is_none());
    store.append(&message("live"), 300).await.unwrap();
    assert_eq!(
        timeout(PATIENCE, subscription.next())
            .await
            .unwrap()
            .unwrap()
            .sequence,
        301
    );
}

async fn a_message_is_read_by_its_sequence<F: Faulty>() {
    let log = F::start().await;
    let store = log.store();
    store.append(&message("a"), 0).await.unwrap();
    let record = store.read(1).await.unwrap().unwrap();
    assert_eq!(
        (&*record.subject, &*record.payload),
        ("route.a", &b"payload of a"[..])
    );
    assert_eq!(store.read(2).await.unwrap(), None);
}
