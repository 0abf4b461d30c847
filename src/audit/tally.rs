//! How often those who do not prove who they are are told of: the first times in a minute one by one, then together. So a
//! flood of them is a few events a minute, and none of them goes uncounted.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use flexgate_schemas::{AdminEvent, admin::Deed};
use ipnet::IpNet;
use tokio::time::Instant;

/// For how long calls from one address are counted together.
const MINUTE: Duration = Duration::from_mins(1);
/// How many of them are told one by one.
const ONE_BY_ONE: u32 = 10;
/// How many addresses are told apart. All further ones count as one, whose address is not told.
/// Together with [`ONE_BY_ONE`] this leaves most of the queue to those who prove who they are.
const ADDRESSES_MAX: usize = 32;

/// Who called in vain in the last minute.
#[derive(Debug, Default)]
pub(super) struct Tally(HashMap<Option<IpNet>, Minute>);

#[derive(Debug)]
struct Minute {
    since: Instant,
    told: u32,
    /// How many were not told, and the last of them.
    left_out: Option<(u64, AdminEvent)>,
}

impl Tally {
    /// Counts a denied call; it is given back if it is to be told by itself.
    pub(super) fn count(&mut self, mut event: AdminEvent, now: Instant) -> Option<AdminEvent> {
        let mut from = event.provenance.address.map(network);
        if self.0.len() >= ADDRESSES_MAX && !self.0.contains_key(&from) {
            from = None;
            event.provenance.address = None;
        }
        let minute = self.0.entry(from).or_insert(Minute {
            since: now,
            told: 0,
            left_out: None,
        });
        if minute.told < ONE_BY_ONE {
            minute.told += 1;
            return Some(event);
        }
        let times = minute.left_out.take().map_or(0, |(times, _)| times);
        minute.left_out = Some((times + 1, event));
        None
    }

    /// What was left out in the minutes that are over by now, summed up.
    pub(super) fn over(&mut self, now: Instant) -> Vec<AdminEvent> {
        let is_over = |minute: &Minute| now.duration_since(minute.since) >= MINUTE;
        let over = self.0.extract_if(|_, minute| is_over(minute));
        over.filter_map(|(_, minute)| minute.left_out)
            .map(summed_up)
            .collect()
    }

    /// What was left out until now: nothing more comes.
    pub(super) fn rest(&mut self) -> Vec<AdminEvent> {
        let all = self.0.drain();
        all.filter_map(|(_, minute)| minute.left_out)
            .map(summed_up)
            .collect()
    }
}

fn summed_up((times, mut event): (u64, AdminEvent)) -> AdminEvent {
    if let Deed::Denied(call) = &mut event.deed {
        call.times = times;
    }
    event
}

/// Whoever has an IPv6 address has a network of them.
fn network(address: IpAddr) -> IpNet {
    let bits = match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 64,
    };
    IpNet::new_assert(address, bits).trunc()
}

#[cfg(test)]
mod tests {
    use flexgate_schemas::{Provenance, Timestamp, admin::Call, commit::Source};

    use super::*;

    fn denied(from: &str) -> AdminEvent {
        AdminEvent {
            id: "a".into(),
            node: "n".parse().unwrap(),
            at: Timestamp::default(),
            actor: None,
            source: Source::Api,
            provenance: Provenance {
                address: Some(from.parse().unwrap()),
                ..Provenance::default()
            },
            deed: Deed::Denied(Call::new(("POST", "/api/routes"), 401, Some("no_token"))),
        }
    }

    fn times(events: &[AdminEvent]) -> Vec<u64> {
        events
            .iter()
            .map(|event| event.deed.call().unwrap().times)
            .collect()
    }

    #[test]
    fn the_first_of_a_minute_are_told_one_by_one_and_the_others_together() {
        let (mut tally, begin) = (Tally::default(), Instant::now());
        let told = (0..1000)
            .filter_map(|_| tally.count(denied("192.0.2.1"), begin))
            .count();
        assert_eq!(told, 10);
        assert!(
            tally.count(denied("192.0.2.2"), begin).is_some(),
            "another address"
        );
        assert!(tally.over(begin + MINUTE / 2).is_empty(), "not over yet");
        assert_eq!(times(&tally.over(begin + MINUTE)), [990]);
        assert!(tally.over(begin + MINUTE).is_empty(), "once");
        assert!(
            tally.count(denied("192.0.2.1"), begin + MINUTE).is_some(),
            "a new minute"
        );
    }

    #[test]
    fn however_many_addresses_there_are_few_are_remembered_and_no_call_is_forgotten() {
        let (mut tally, begin) = (Tally::default(), Instant::now());
        let address = |number: u32| format!("10.0.{}.{}", number / 256, number % 256);
        let mut counted = 0;
        for number in 0..5000 {
            let told = tally.count(denied(&address(number)), begin);
            counted += u64::from(told.is_some());
        }
        assert!(tally.0.len() <= ADDRESSES_MAX + 1 && counted < 200, "{counted}");
        let rest = tally.rest();
        assert_eq!(rest[0].provenance.address, None, "of others, together");
        assert_eq!(counted + times(&rest).iter().sum::<u64>(), 5000);
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let (mut tally, begin) = (Tally::default(), Instant::now());
        let told = (0..100).filter_map(|number| tally.count(denied(&format!("2001:db8::{number}")), begin));
        assert_eq!(told.count(), 10);
    }
}
