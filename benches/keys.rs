//! What a million API keys weigh, and what it costs to find one of them. `cargo bench --bench keys`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a bench prints, stops where something is wrong, counts no further than a float does, and has no other task to block"
)]

#[path = "memory/own.rs"]
mod memory;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use flexgate::{
    domain::{ConfigState, Keys, Stamp, evolve},
    journal::{Fold, snapshot::Snapshots},
};
use flexgate_schemas::{
    ApiKey, Event, KeyId, Timestamp,
    chain::sha256,
    key::{KeyTerms, SecretHash, secret},
};
use mimalloc::MiMalloc;

use memory::{most_resident, resident};

/// The one of the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const KEYS: u64 = 1_000_000;
const LOOKUPS: u64 = 2_000_000;

fn main() {
    let before = resident();
    let started = Instant::now();
    let state = folded(KEYS);
    println!(
        "{KEYS} keys are folded in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    weigh("in a state", before, state.keys().len());

    for count in [10, KEYS] {
        let few = folded(count.min(10));
        let keys = if count == KEYS { state.keys() } else { few.keys() };
        println!(
            "of {count} keys, one is found in {:.0} ns, and with the hash of its secret in {:.0} ns",
            nanos(count, |number| keys.get(&id(number)).is_some()),
            nanos(count, |number| opens(
                keys,
                &secret::made_of(id(number), &random(number))
            )),
        );
        println!(
            "  of which {:.0} ns make the id, and {:.0} ns the secret",
            nanos(count, |number| id(number) != id(number + 1)) / 2.0,
            nanos(count, |number| secret::made_of(id(number), &random(number)).len()
                > 1),
        );
    }

    let folder = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::in_folder(folder.path());
    let fold = Fold {
        state,
        generation: 1,
        ..Fold::default()
    };
    let started = Instant::now();
    snapshots.save(&fold).unwrap();
    println!(
        "a snapshot is written in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    std::thread::sleep(Duration::from_secs(1));
    weigh("after a snapshot", before, fold.state.keys().len());
    println!("  at most it was {:.1} MB", most_resident() as f64 / 1e6);
    drop(fold);
    std::thread::sleep(Duration::from_secs(1));
    let before = resident();
    let started = Instant::now();
    let loaded = snapshots.load().unwrap();
    println!("it is read in {:.1} s", started.elapsed().as_secs_f64());
    std::thread::sleep(Duration::from_secs(1));
    weigh("from a snapshot", before, loaded.state.keys().len());
    println!("  at most it was {:.1} MB", most_resident() as f64 / 1e6);
}

fn folded(count: u64) -> ConfigState {
    let mut state = ConfigState::default();
    for number in 0..count {
        let stamp = Stamp {
            revision: number,
            at: Timestamp::default(),
        };
        let terms: KeyTerms = serde_json::from_str(&format!(r#"{{"name":"client {number:07}"}}"#)).unwrap();
        let secret = secret::made_of(id(number), &random(number));
        let key = ApiKey::new(id(number), SecretHash::of(secret.as_bytes()), terms);
        evolve(&mut state, &Event::KeyCreated(key.into()), &stamp);
    }
    state
}

fn random(number: u64) -> [u8; 32] {
    sha256(&number.to_be_bytes())
}

fn id(number: u64) -> KeyId {
    KeyId::made_of(&sha256(&number.to_le_bytes()))
}

/// What is done for a request.
fn opens(keys: &Keys, sent: &str) -> bool {
    let hash = SecretHash::of(sent.as_bytes());
    let key = secret::claimed_id(sent.as_bytes()).and_then(|id| keys.get(&id));
    key.is_some_and(|entry| entry.value.sha256.matches(&hash))
}

fn nanos(count: u64, done: impl Fn(u64) -> bool) -> f64 {
    let started = Instant::now();
    for number in 0..LOOKUPS {
        // A walk over all of them that no cache foresees.
        assert!(black_box(done(
            number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % count
        )));
    }
    started.elapsed().as_nanos() as f64 / LOOKUPS as f64
}

fn weigh(what: &str, before: u64, keys: usize) {
    let now = resident();
    println!(
        "{what}: {:.1} MB resident, {:.0} bytes a key",
        now as f64 / 1e6,
        now.saturating_sub(before) as f64 / keys as f64
    );
}
