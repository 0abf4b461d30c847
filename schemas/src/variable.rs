//! Variables: what a value may take from the request that it is made for.

use std::{fmt, str::FromStr};

use crate::{
    PathPattern,
    matchers::{FieldName, ParameterName},
};

/// Something of a request, by the name under which a [`ValueTemplate`](crate::ValueTemplate) has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Variable {
    /// `client.address`: who sent it, as far as trusted proxies can tell.
    ClientAddress,
    /// `request.id`: its correlation id.
    RequestId,
    /// `request.method`.
    RequestMethod,
    /// `request.host`: the host that was asked for, with the port if it was given.
    RequestHost,
    /// `request.path`: the path as it was sent, without the query.
    RequestPath,
    /// `route.id`: the route that took it.
    RouteId,
    /// `path.NAME`: what the path has where the route's pattern has `:NAME`, decoded.
    Path(Box<str>),
    /// `header.NAME`: the lines of this field, joined with commas.
    Header(FieldName),
    /// `query.NAME`: the first parameter of this name, decoded.
    Query(ParameterName),
}

/// The variables without a name of their own in them.
const PLAIN: [(&str, Variable); 6] = [
    ("client.address", Variable::ClientAddress),
    ("request.id", Variable::RequestId),
    ("request.method", Variable::RequestMethod),
    ("request.host", Variable::RequestHost),
    ("request.path", Variable::RequestPath),
    ("route.id", Variable::RouteId),
];

/// What is no variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no variable {0:?}: there are {names}", names = names())]
pub struct VariableError(String);

fn names() -> String {
    let plain: Vec<_> = PLAIN.iter().map(|(name, _)| *name).collect();
    format!("{}, path.NAME, header.NAME and query.NAME", plain.join(", "))
}

impl Variable {
    /// Whether routes with this pattern have it.
    pub fn is_in(&self, pattern: &PathPattern) -> bool {
        !matches!(self, Self::Path(name) if !pattern.names(name))
    }
}

impl FromStr for Variable {
    type Err = VariableError;
    fn from_str(text: &str) -> Result<Self, VariableError> {
        if let Some((_, plain)) = PLAIN.iter().find(|(name, _)| *name == text) {
            return Ok(plain.clone());
        }
        let named = match text.split_once('.') {
            Some(("path", name)) if !name.is_empty() => Some(Self::Path(name.into())),
            Some(("header", name)) => name.parse().ok().map(Self::Header),
            Some(("query", name)) => name.parse().ok().map(Self::Query),
            _ => None,
        };
        named.ok_or_else(|| VariableError(text.to_owned()))
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(name) => write!(out, "path.{name}"),
            Self::Header(name) => write!(out, "header.{name}"),
            Self::Query(name) => write!(out, "query.{name}"),
            plain => {
                let name = PLAIN.iter().find(|(_, own)| own == plain);
                out.write_str(name.map_or("", |(name, _)| name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_written_as_it_was_read() {
        let plain = PLAIN.iter().map(|(name, _)| *name);
        for text in plain.chain(["path.id", "header.x-user", "query.a b"]) {
            assert_eq!(text.parse::<Variable>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_variable_is_told_what_there_is() {
        for text in [
            "",
            "id",
            "request",
            "request.id.x",
            "path.",
            "header.a b",
            "query.",
            "ENV",
        ] {
            let error = text.parse::<Variable>().unwrap_err().to_string();
            assert!(error.contains("client.address, request.id"), "{error}");
        }
    }
}
