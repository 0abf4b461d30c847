//! The commands about secrets.

use std::str::FromStr;

use flexgate_schemas::secret::Purpose;

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum SecretVerb {
    /// Make a key, for FLEXGATE_SECRET_KEY of every node, and print it
    Key,
    /// Read a secret from stdin, and print it sealed with the first of this machine's keys
    Seal(Sealing),
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Sealing {
    /// Where it will be used, and nowhere else: `upstream`, `tokens` (keys of JWT providers), or `signing:KEY`
    #[arg(long = "for", value_name = "PURPOSE", default_value = "upstream")]
    pub(in crate::cli) purpose: SealedFor,
}

/// A purpose, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum SealedFor {
    Upstream,
    Tokens,
    Signing(String),
}

impl FromStr for SealedFor {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        match (text, text.split_once(':')) {
            ("upstream", _) => Ok(Self::Upstream),
            ("tokens", _) => Ok(Self::Tokens),
            (_, Some(("signing", key))) if !key.is_empty() => Ok(Self::Signing(key.to_owned())),
            _ => Err("write `upstream`, `tokens`, or `signing:` and the id of an API key"),
        }
    }
}

impl<'a> From<&'a SealedFor> for Purpose<'a> {
    fn from(purpose: &'a SealedFor) -> Self {
        match purpose {
            SealedFor::Upstream => Self::Upstream,
            SealedFor::Tokens => Self::Tokens,
            SealedFor::Signing(key) => Self::Signing(key),
        }
    }
}
