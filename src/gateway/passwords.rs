//! Passwords, verified by a few threads, since one takes a core for tens of milliseconds; and what each core knows of those
//! that came before.

mod turns;

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
    mem,
    net::IpAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::hmac;
use flexgate_schemas::key::PasswordHash;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::spawn_blocking,
    time::timeout,
};

use self::turns::Turns;
use super::refusal::Refusal;
use crate::{limiter::network, password};

/// How long a password waits for its turn. Those that wait are few enough to have theirs sooner, unless a hash takes all it may.
const WAIT: Duration = Duration::from_secs(5);
/// The most passwords in each of the two generations of a kind. Full: the younger becomes the older, and that is forgotten.
const GENERATION_MAX: usize = 512;
/// No client has more than one in so many of the places.
const CLIENT_SHARE: usize = 4;
/// What is known of a password is forgotten when it was not sent for so long, in seconds.
const KNOWN_FOR: i64 = 300;

/// So many threads of a node as may verify at once, and those who wait for them.
#[derive(Debug)]
pub(super) struct Checkers {
    seats: Arc<Semaphore>,
    /// One for each who is verified or waits for it. Full: 503, so that a flood of passwords takes a bounded share of the
    /// machine, and whoever is known already does not notice.
    places: Semaphore,
    /// How many of them each client has, by its network: nobody takes those of all others.
    clients: Mutex<HashMap<u128, usize>>,
    client_max: usize,
}

/// A place among those who are verified or wait for it.
#[derive(Debug)]
struct Place<'c> {
    checkers: &'c Checkers,
    client: u128,
    _permit: SemaphorePermit<'c>,
}

/// A password as it is known: by a hash, under a key of this core, of itself, the user name and what it is verified by. Whoever gets
/// another password is somebody else.
pub(super) type Print = [u8; 32];

/// What a core knows of passwords. Those that are right are kept apart: nobody drives them out with others.
#[derive(Debug)]
pub(super) struct KnownPasswords {
    key: hmac::Key,
    right: RefCell<Generations>,
    wrong: RefCell<Generations>,
    turns: Turns,
}

/// When each was sent last, in seconds since 1970.
#[derive(Debug, Default)]
struct Generations {
    younger: HashMap<Print, i64>,
    older: HashMap<Print, i64>,
}

impl Checkers {
    /// Half as many threads as there are cores: other requests must get on.
    pub(super) fn new(cores: NonZeroUsize, waiting_max: usize) -> Arc<Self> {
        let seats = (cores.get() / 2).max(1);
        let places = seats + waiting_max;
        Arc::new(Self {
            seats: Arc::new(Semaphore::new(seats)),
            places: Semaphore::new(places),
            clients: Mutex::default(),
            client_max: places.div_ceil(CLIENT_SHARE),
        })
    }

    /// A place for this client, unless there is none or it has its share.
    fn enter(&self, client: IpAddr) -> Option<Place<'_>> {
        let permit = self.places.try_acquire().ok()?;
        let client = network(client);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let count = clients.entry(client).or_default();
        if *count >= self.client_max {
            return None;
        }
        *count += 1;
        Some(Place {
            checkers: self,
            client,
            _permit: permit,
        })
    }

    /// Whether a password is right, at this time in seconds since 1970. One that nobody waits for any more is verified to its end.
    pub(super) async fn check(
        &self,
        known: &KnownPasswords,
        (print, now): (Print, i64),
        (hash, password): (PasswordHash, Vec<u8>),
        client: IpAddr,
    ) -> Result<bool, Refusal> {
        let _turn = loop {
            if let Some(right) = known.verdict(&print, now) {
                return Ok(right); // the same came meanwhile
            }
            match known.turns.take(print) {
                Ok(turn) => break turn,
                Err(over) => over.notified().await,
            }
        };
        let Some(_place) = self.enter(client) else {
            return Err(Refusal::PasswordsBusy);
        };
        let Ok(Ok(seat)) = timeout(WAIT, Arc::clone(&self.seats).acquire_owned()).await else {
            return Err(Refusal::PasswordsBusy);
        };
        let verifying = spawn_blocking(move || {
            let right = password::verify(&hash, &password);
            drop(seat);
            right
        });
        let right = verifying.await.map_err(|_| Refusal::PasswordsBusy)?;
        known.note(print, right, now);
        Ok(right)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut clients = self
            .checkers
            .clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = clients.entry(self.client) {
            *count.get_mut() -= 1; // it was counted when it came
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

impl KnownPasswords {
    /// Knows none.
    pub(super) fn new() -> Self {
        let key: [u8; 32] = rand::random();
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            right: RefCell::default(),
            wrong: RefCell::default(),
            turns: Turns::default(),
        }
    }

    /// What a password is known by.
    pub(super) fn print(&self, username: &str, password: &[u8], hash: &PasswordHash) -> Print {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [username.as_bytes(), password, hash.expose().as_bytes()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        *tag.as_ref().first_chunk().expect("HMAC-SHA256 has 32 bytes")
    }

    /// Whether it is right, if that is known.
    pub(super) fn verdict(&self, print: &Print, now: i64) -> Option<bool> {
        if self.right.borrow_mut().has(print, now) {
            return Some(true);
        }
        self.wrong.borrow_mut().has(print, now).then_some(false)
    }

    fn note(&self, print: Print, right: bool, now: i64) {
        let generations = if right { &self.right } else { &self.wrong };
        generations.borrow_mut().put(print, now);
    }
}

impl Generations {
    /// Whether it is there; then it was sent now.
    fn has(&mut self, print: &Print, now: i64) -> bool {
        let sent = self.younger.remove(print).or_else(|| self.older.remove(print));
        let is_known = sent.is_some_and(|sent| now - sent < KNOWN_FOR);
        if is_known {
            self.put(*print, now);
        }
        is_known
    }

    fn put(&mut self, print: Print, now: i64) {
        if self.younger.len() >= GENERATION_MAX {
            self.older = mem::take(&mut self.younger);
        }
        self.younger.insert(print, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(salt: &str) -> PasswordHash {
        format!("$argon2id$v=19$m=8,t=1,p=1${salt}$AAAAAAAAAAAAAAAAAAAAAA")
            .parse()
            .unwrap()
    }

    #[test]
    fn a_password_is_known_until_it_was_not_sent_for_a_while_or_is_another() {
        let known = KnownPasswords::new();
        let print = |name: &str, password: &str, salt| known.print(name, password.as_bytes(), &hash(salt));
        let (first, second) = ("c29tZXNhbHQ", "c29tZXNhbHU");
        let ada = print("ada", "secret", first);
        known.note(ada, true, 0);
        for (other, now, expected) in [
            (ada, 299, Some(true)),
            (ada, 598, Some(true)),
            (print("ada", "Secret", first), 598, None),
            (print("ada", "secret", second), 598, None),
            (print("adas", "ecret", first), 598, None),
            (ada, 898, None),
            (ada, 898, None),
        ] {
            assert_eq!(known.verdict(&other, now), expected, "at {now}");
        }
    }

    #[test]
    fn nobody_takes_the_places_of_all_others() {
        let checkers = Checkers::new(NonZeroUsize::MIN, 7);
        let client = |text: &str| text.parse().unwrap();
        let places: Vec<_> = ["::1", "::2"].map(|text| checkers.enter(client(text))).into();
        assert!(places.iter().all(Option::is_some));
        assert!(checkers.enter(client("::3")).is_none(), "of the same /64");
        let others = [
            "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.3", "10.0.0.4",
        ];
        let others: Vec<_> = others.map(|text| checkers.enter(client(text))).into();
        assert!(others.iter().all(Option::is_some));
        assert!(checkers.enter(client("10.0.0.5")).is_none(), "there are eight");
        drop((places, others));
        assert!(checkers.clients.lock().unwrap().is_empty());
        assert!(checkers.enter(client("::3")).is_some());
    }

    #[test]
    fn many_wrong_ones_drive_out_each_other_and_no_right_one() {
        let known = KnownPasswords::new();
        known.note([1; 32], true, 0);
        for number in 0..10_000_u32 {
            let mut print = [0; 32];
            print[..4].copy_from_slice(&number.to_be_bytes());
            known.note(print, false, 0);
        }
        assert_eq!(known.verdict(&[1; 32], 0), Some(true));
        let wrong = known.wrong.borrow();
        assert!(wrong.younger.len() + wrong.older.len() <= 2 * GENERATION_MAX);
    }
}
