//! Which target of an upstream a request goes to: smooth weighted round robin.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{
    compiled::CompiledTarget,
    exchange::{Routed, Targeted},
    refusal::Refusal,
};

/// How many requests an upstream was asked for, on all cores together.
#[derive(Debug, Default)]
pub(super) struct Turns(AtomicU64);

/// The target whose turn it is. Of as many turns in a row as the weights add up to, each target gets exactly its
/// weight; the turns of a heavy one are spread, not bunched. `stride` is [`stride`] of the sum of the weights.
fn verdict(turn: u64, stride: u64, targets: &[Arc<CompiledTarget>]) -> Option<&Arc<CompiledTarget>> {
    let total = targets.last()?.share_end;
    let unit = (turn % total) * stride % total;
    targets.get(targets.partition_point(|target| target.share_end <= unit))
}

/// How far apart in weight two turns in a row are. Steps of the golden ratio lie far from one another, and each unit of
/// weight is visited once a round when the step has no divisor in common with their number.
pub(super) fn stride(total: u64) -> u64 {
    let golden = (total * 618 / 1000).max(1);
    (golden..total)
        .find(|step| divisor(*step, total) == 1)
        .unwrap_or(1)
}

fn divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Chooses a target; without any the upstream is not available.
pub(super) fn balance(request: Routed) -> Result<Targeted, Refusal> {
    let snapshot = &request.arrived.exchange.snapshot;
    let upstream = snapshot.upstream_of(&request.route).ok_or(Refusal::NoTarget)?;
    let chosen = match &*upstream.targets {
        [only] => Some(only), // nothing to count, and no cache line to share with the other cores
        several => verdict(
            upstream.turns.0.fetch_add(1, Ordering::Relaxed),
            upstream.stride,
            several,
        ),
    };
    let target = chosen.ok_or(Refusal::NoTarget)?;
    let (upstream, target) = (Arc::clone(upstream), Arc::clone(target));
    Ok(Targeted {
        request,
        upstream,
        target,
    })
}

#[cfg(test)]
mod tests {
    use flexgate_schemas::transport::Protocol;

    use super::*;
    use crate::gateway::{SecretMissing, Secrets, origin::Origins};

    fn targets(weights: &[u64]) -> Vec<Arc<CompiledTarget>> {
        let mut origins = Origins::default();
        let mut share_end = 0;
        let mut target = |(place, weight): (usize, &u64)| {
            share_end += weight;
            let url = format!("http://target-{place}").parse().unwrap();
            let secrets: Secrets = Arc::new(|secret, _| Err(SecretMissing(secret.to_string())));
            let origin = origins.of(&url, (Protocol::Auto, None), &secrets).unwrap();
            Arc::new(CompiledTarget {
                origin,
                base: "".into(),
                share_end,
            })
        };
        weights.iter().enumerate().map(&mut target).collect()
    }

    fn sequence(weights: &[u64]) -> Vec<u64> {
        let targets = targets(weights);
        let total = weights.iter().sum();
        let target = |turn| verdict(turn, stride(total), &targets).unwrap().origin.id - 1;
        (0..total).map(target).collect()
    }

    #[test]
    fn a_round_gives_every_target_exactly_its_weight() {
        for weights in [
            &[1, 1][..],
            &[1, 1, 1],
            &[5, 1, 1],
            &[3, 2],
            &[100, 1, 65_535],
            &[1; 256],
        ] {
            let sequence = sequence(weights);
            for (place, weight) in weights.iter().enumerate() {
                let turns = sequence.iter().filter(|id| **id == place as u64).count();
                assert_eq!(turns as u64, *weight, "{weights:?}");
            }
        }
    }

    #[test]
    fn the_turns_of_a_heavy_target_are_spread() {
        assert_eq!(sequence(&[1, 1]), [0, 1]);
        assert_eq!(sequence(&[5, 1, 1]), [0, 0, 0, 1, 0, 2, 0]);
        assert_eq!(sequence(&[2, 2]), [0, 1, 1, 0]);
    }

    #[test]
    fn an_upstream_without_targets_has_no_turn() {
        assert!(verdict(7, 1, &[]).is_none());
    }
}
