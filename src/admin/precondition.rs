//! When the caller wants a write done: only if nothing is there yet, or only if it is as the caller knows it.

use http::{HeaderMap, header};

use super::{
    error::Error,
    etag::{self, Condition},
    place::Place,
};
use crate::{domain::Expect, journal::Moment};

/// The precondition of a write (RFC 9110 13.1).
#[derive(Debug)]
pub(super) enum Precondition {
    /// None was sent.
    None,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match: *`.
    Present,
    /// `If-Match`, with tags.
    Unchanged(Vec<Place>),
}

impl Precondition {
    /// What the headers say.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        match (etag::if_match(headers)?, etag::if_none_match(headers)?) {
            (None, None) => Ok(Self::None),
            (None, Some(Condition::Any)) => Ok(Self::Absent),
            (Some(Condition::Any), None) => Ok(Self::Present),
            (Some(Condition::Of(tags)), None) => Ok(Self::Unchanged(tags)),
            (Some(_), Some(_)) | (None, Some(Condition::Of(_))) => Err(Error::Header {
                name: header::IF_NONE_MATCH,
                expected: "`*` on a write, and without `If-Match`",
            }),
        }
    }

    /// What the whole configuration must be.
    pub(super) fn whole(&self) -> Result<Option<Moment>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Unchanged(tags) if tags.len() == 1 => Ok(tags.first().map(|tag| Moment {
                generation: tag.generation,
                revision: tag.revision,
            })),
            Self::Unchanged(_) | Self::Absent | Self::Present => Err(Error::Header {
                name: header::IF_MATCH,
                expected: "left out here, or the one tag of the whole configuration, as `GET /api/config` has it",
            }),
        }
    }

    /// What the decision must find, given the present generation and the last revision of the entity, as far as they are
    /// known here. Of several tags only that revision can still hold; the decision itself looks whether it does.
    pub(super) fn expect(&self, generation: u64, current: Option<u64>) -> Result<Expect, Error> {
        match self {
            // Every write but the creation of something needs it to be there anyway.
            Self::None | Self::Present => Ok(Expect::Any),
            Self::Absent => Ok(Expect::Absent),
            Self::Unchanged(tags) => {
                let mut ours = tags
                    .iter()
                    .filter(|tag| tag.generation == generation)
                    .map(|tag| tag.revision);
                let holds = ours.clone().find(|revision| Some(*revision) == current);
                holds
                    .or_else(|| ours.next())
                    .map(Expect::Revision)
                    .ok_or(Error::OtherHistory)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_versions_the_present_one_is_expected() {
        let place = |generation, revision| Place { generation, revision };
        let precondition = Precondition::Unchanged(vec![place(1, 7), place(2, 7), place(2, 9)]);
        assert!(matches!(precondition.expect(2, Some(9)), Ok(Expect::Revision(9))));
        assert!(matches!(
            precondition.expect(2, Some(10)),
            Ok(Expect::Revision(7))
        ));
        assert!(matches!(precondition.expect(2, None), Ok(Expect::Revision(7))));
        assert!(matches!(
            precondition.expect(3, Some(9)),
            Err(Error::OtherHistory)
        ));
    }
}
