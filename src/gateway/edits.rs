//! The edits that a route makes of requests and responses.

use std::borrow::Cow;

use flexgate_schemas::{
    Route, ValueTemplate,
    edits::{Edit, EditedField, Edits},
    matchers::ParameterName,
    value_template::Piece,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::{
    around::Afterwards,
    body::Body,
    exchange::{Forwarded, Routed},
    values::{field_value, made},
};
use crate::routing;

/// The edits of a route.
#[derive(Debug)]
pub(super) struct CompiledEdits {
    /// The `Host` to send.
    pub(super) host: Option<HeaderValue>,
    query: Edits<ParameterName>,
    request: FieldEdits,
    response: FieldEdits,
}

type FieldEdits = Box<[(HeaderName, Edit<Value>)]>;

/// A value, made already if nothing in it is of the request.
#[derive(Debug)]
enum Value {
    Constant(HeaderValue),
    Made(ValueTemplate),
}

impl CompiledEdits {
    /// None for a route that edits nothing.
    pub(super) fn compile(route: &Route) -> Option<Box<Self>> {
        let host = route.rewrite_host.as_ref();
        let edits = Self {
            host: host.and_then(|host| HeaderValue::from_str(host.as_str()).ok()), // a host is visible ASCII
            query: route.query.clone(),
            request: compiled(&route.headers.request),
            response: compiled(&route.headers.response),
        };
        let is_idle = edits.request.is_empty() && edits.response.is_empty();
        let is_idle = is_idle && edits.query.is_empty() && edits.host.is_none();
        (!is_idle).then(|| Box::new(edits))
    }
}

fn compiled(edits: &Edits<EditedField>) -> FieldEdits {
    let field = |(name, edit): &(EditedField, Edit<ValueTemplate>)| {
        Some((
            name.as_header().clone(),
            edit.map(|template| Some(Value::of(template)))?,
        ))
    };
    edits.iter().filter_map(field).collect()
}

impl Value {
    fn of(template: &ValueTemplate) -> Self {
        let constant = match template.pieces() {
            [Piece::Text(text)] => field_value(text.as_bytes()),
            _ => None,
        };
        constant.map_or_else(|| Self::Made(template.clone()), Self::Constant)
    }

    fn for_request(&self, request: &Routed) -> Option<HeaderValue> {
        match self {
            Self::Constant(value) => Some(value.clone()),
            Self::Made(template) => field_value(&made(template, request)),
        }
    }
}

/// What is done to the fields of one message.
#[derive(Debug, Default)]
pub(super) struct Changes(Vec<(HeaderName, Edit<HeaderValue>)>);

impl Changes {
    fn of(edits: &FieldEdits, request: &Routed) -> Self {
        let change = |(name, edit): &(HeaderName, Edit<Value>)| {
            let edit = edit.map(|value| value.for_request(request))?;
            Some((name.clone(), edit))
        };
        Self(edits.iter().filter_map(change).collect())
    }

    /// Makes them.
    pub(super) fn make(self, headers: &mut HeaderMap) {
        for (name, edit) in self.0 {
            match edit {
                Edit::Remove => drop(headers.remove(name)),
                Edit::Set(value) => drop(headers.insert(name, value)),
                Edit::Add(value) => drop(headers.append(name, value)),
            }
        }
    }
}

impl Afterwards for Changes {
    fn apply(self, mut response: Response<Body>) -> Response<Body> {
        self.make(response.headers_mut());
        response
    }
}

/// Works out the edits of both directions while the request is as it came. Those of the request are made when the fields
/// of the client's hop are gone, so that no client can name a field of ours in its `Connection` and have it removed.
pub(super) fn edit(request: &mut Routed) -> Option<Changes> {
    let edits = request.route.policies().edits.as_ref()?;
    let changes = Changes::of(&edits.request, request);
    let afterwards = Changes::of(&edits.response, request);
    let query = (!edits.query.is_empty()).then(|| edited_query(&edits.query, request));
    request.changes = changes;
    if let Some(query) = query {
        request.query = Forwarded::Changed(query.into());
    }
    (!afterwards.0.is_empty()).then_some(afterwards)
}

/// The query with the edits made. What is not edited stays as it was sent, in its order; what is set or added follows.
fn edited_query(edits: &Edits<ParameterName>, request: &Routed) -> String {
    let sent = request.arrived.exchange.uri.query().unwrap_or_default();
    let goes = |name: &str| {
        let is_meant = |edited: &ParameterName| routing::decoded(name).eq(edited.as_str().bytes());
        (edits.iter()).any(|(edited, edit)| !matches!(edit, Edit::Add(_)) && is_meant(edited))
    };
    let kept = sent.split('&').filter(|parameter| {
        let (name, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        !parameter.is_empty() && !goes(name)
    });
    let mut query = kept.collect::<Vec<_>>().join("&");
    for (name, edit) in edits.iter() {
        let made = edit.map(|template| Some(made(template, request)).filter(|value| !value.is_empty()));
        if let Some(Edit::Set(value) | Edit::Add(value)) = made {
            let separator = if query.is_empty() { "" } else { "&" };
            let (name, value) = (escaped(name.as_str().as_bytes()), escaped(&value));
            query.push_str(separator);
            query.extend([name, "=".into(), value]);
        }
    }
    query
}

/// As every reader of queries reads it back: whatever is in a value, it is one value.
fn escaped(text: &[u8]) -> Cow<'_, str> {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    percent_encode(text, RESERVED).into()
}
