//! Which bytes are which requests: a corpus of requests played against the gateway, and held against what others read in
//! the same bytes.

mod corpus;
mod h11;
mod nginx;
mod play;

use futures_util::{StreamExt as _, stream};

use self::{
    corpus::{Case, corpus},
    play::{Played, Seen, play},
};
use super::Node;
use crate::upstream::Upstream;

/// How many cases are played at the same time, each with a gateway and an upstream of its own.
const AT_ONCE: usize = 16;

/// What an upstream says to everything: nothing more, so that `HEAD` is no special case.
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Plays a case against a gateway of its own, whose upstream records what it is asked.
async fn through_the_gateway(case: &Case) -> Played {
    let backend = Upstream::raw(ANSWER).start().await;
    let node = Node::forwarding_to(&backend.url());
    let (answers, ended) = play(case, node.client().await.0).await;
    node.gateway.drain().await;
    Played {
        answers,
        ended,
        seen: play::seen_by(&backend).await,
    }
}

#[tokio::test]
async fn every_request_of_the_corpus_is_read_as_it_must_be() {
    let cases = corpus();
    let differences: Vec<String> = stream::iter(&cases)
        .map(async |case| {
            let played = through_the_gateway(case).await;
            (played != case.expected).then(|| case.differs_from(&played))
        })
        .buffered(AT_ONCE)
        .filter_map(async |difference| difference)
        .collect()
        .await;
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    assert!(cases.len() >= 200, "{} cases", cases.len());
}

#[tokio::test]
async fn no_upstream_sees_requests_that_h11_does_not_read_in_the_same_bytes() {
    let cases = corpus();
    let theirs = h11::read(&cases).await;
    assert_never_more("h11", &cases, &theirs);
}

#[tokio::test]
async fn no_upstream_sees_requests_that_nginx_does_not_forward_for_the_same_bytes() {
    let cases = corpus();
    if let Some(theirs) = nginx::forwards(&cases).await {
        assert_never_more("nginx", &cases, &theirs);
    }
}

/// The upstream of the gateway sees what the corpus says, which is another test. None of it may be more, or different,
/// than what somebody else makes of the same bytes: that difference is what smugglers live on.
fn assert_never_more(reader: &str, cases: &[Case], theirs: &[Vec<Seen>]) {
    assert_eq!(cases.len(), theirs.len());
    let differences: Vec<String> = cases
        .iter()
        .zip(theirs)
        .filter(|(case, theirs)| is_among(&case.expected.seen, theirs) == case.excepts(reader))
        .map(|(case, theirs)| {
            if case.excepts(reader) {
                format!("{}\n    is no exception any more", case.title)
            } else {
                case.differs_from_what(reader, theirs)
            }
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

/// Whether all of ours are theirs too, in the same order.
fn is_among(ours: &[Seen], theirs: &[Seen]) -> bool {
    let mut theirs = theirs.iter();
    ours.iter().all(|request| theirs.any(|their| their == request))
}
