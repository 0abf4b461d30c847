//! Identifiers: strings of `[A-Za-z0-9_-]`, 1 to 64 of them, so that each is also a NATS subject token and a URL segment.

use std::{fmt, str::FromStr, sync::Arc};

use uuid::Uuid;

/// The longest identifier, in bytes.
pub const ID_BYTES_MAX: usize = 64;

/// Why a string is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("an id must not be empty")]
    Empty,
    /// More than [`ID_BYTES_MAX`] bytes.
    #[error("an id has at most {ID_BYTES_MAX} characters, this one has {0}")]
    TooLong(usize),
    /// A character outside `[A-Za-z0-9_-]`.
    #[error("an id is made of letters, digits, `_` and `-`; {0:?} is none of them")]
    Character(char),
}

pub(crate) fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if let Some(character) = text
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
    {
        return Err(IdError::Character(character));
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong(text.len()));
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $type:ident, $description:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The identifier made from a UUID; version 7 ones sort by creation time.
            pub fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid.hyphenated().to_string().into())
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, out)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        text_value!($type, $description, "^[A-Za-z0-9_-]{1,64}$");
    };
}

id!(
    /// A route, for as long as it exists; edits keep it.
    RouteId,
    "a route id"
);
id!(
    /// An upstream: its name, which routes refer to.
    UpstreamId,
    "an upstream name"
);
id!(
    /// A provider of tokens: its name, after which those are named that it vouches for.
    ProviderId,
    "the name of a token provider"
);
id!(
    /// A commit, chosen by whoever appends it, so that a retry can be recognised.
    CommitId,
    "a commit id"
);
id!(
    /// A cluster: everything that shares one CONFIG history and its copies.
    ClusterId,
    "a cluster id"
);
id!(
    /// A gateway node, kept in its data folder over restarts.
    NodeId,
    "a node id"
);
id!(
    /// One start of a node.
    BootId,
    "a boot id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_subject_token() {
        assert_eq!("users-v2_A".parse::<RouteId>().unwrap().as_str(), "users-v2_A");
        assert_eq!("".parse::<RouteId>(), Err(IdError::Empty));
        assert_eq!("a.b".parse::<RouteId>(), Err(IdError::Character('.')));
        assert_eq!("a".repeat(65).parse::<RouteId>(), Err(IdError::TooLong(65)));
    }
}
