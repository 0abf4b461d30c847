//! The edits that a route makes of requests and responses.

use flexgate_schemas::{
    Route, ValueTemplate,
    edits::{Edit, EditedField, Edits},
    value_template::Piece,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use super::{
    around::Afterwards,
    body::Body,
    exchange::Routed,
    values::{field_value, made},
};

/// The edits of a route.
#[derive(Debug)]
pub(super) struct CompiledEdits {
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
        let edits = Self {
            request: compiled(&route.headers.request),
            response: compiled(&route.headers.response),
        };
        let is_idle = edits.request.is_empty() && edits.response.is_empty();
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
    let edits = request.route.edits.as_ref()?;
    let changes = Changes::of(&edits.request, request);
    let afterwards = Changes::of(&edits.response, request);
    request.changes = changes;
    (!afterwards.0.is_empty()).then_some(afterwards)
}
