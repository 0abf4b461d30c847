//! What can be done where: one table from which both the router and the OpenAPI document are made, so that neither can
//! have what the other has not.

use axum::{
    handler::Handler,
    routing::{MethodFilter, MethodRouter},
};
use flexgate_schemas::event::SchemaOf;
use schemars::{JsonSchema, SchemaGenerator};

/// A path, and what can be done there.
pub(crate) struct Resource<S> {
    /// In the syntax that axum and OpenAPI share.
    pub(crate) path: &'static str,
    /// The heading it stands under.
    pub(crate) tag: &'static str,
    /// Whether it is served without a token.
    pub(crate) open: bool,
    /// What answers.
    pub(crate) methods: MethodRouter<S>,
    /// What it is documented to do, by lower-case method.
    pub(crate) operations: Vec<(&'static str, Operation)>,
}

/// One method of a resource, as documented.
pub(crate) struct Operation {
    /// Its name in generated clients.
    pub(super) id: &'static str,
    /// One line on what it does.
    pub(super) summary: &'static str,
    /// What else a caller must know.
    pub(super) description: Option<&'static str>,
    /// The headers it looks at: names of [`super::openapi`]'s parameters.
    pub(super) headers: &'static [&'static str],
    /// The struct that its query is parsed into.
    pub(super) query: Option<SchemaOf>,
    /// What is sent.
    pub(super) body: Option<Content>,
    /// What comes back, by status, beside problems.
    pub(super) answers: Vec<Answer>,
}

/// A body: its media type and what is in it.
#[derive(Clone, Copy)]
pub(super) struct Content {
    pub(super) media_type: &'static str,
    pub(super) schema: SchemaOf,
}

/// One successful answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) content: Option<Content>,
    /// The headers it carries: names of [`super::openapi`]'s headers.
    pub(super) headers: &'static [&'static str],
}

macro_rules! methods {
    ($($method:ident $filter:ident),*) => {
        $(
            /// Adds what answers to the method, and what is said about it.
            #[must_use]
            pub(crate) fn $method<H, T>(self, handler: H, operation: Operation) -> Self
            where
                H: Handler<T, S>,
                T: 'static,
            {
                self.on(MethodFilter::$filter, stringify!($method), handler, operation)
            }
        )*
    };
}

impl<S: Clone + Send + Sync + 'static> Resource<S> {
    /// A resource of which nothing is said yet, under a heading.
    pub(crate) fn at(path: &'static str, tag: &'static str) -> Self {
        Self {
            path,
            tag,
            open: false,
            methods: MethodRouter::new(),
            operations: Vec::new(),
        }
    }

    /// Serves it without a token.
    #[must_use]
    pub(crate) fn open(mut self) -> Self {
        self.open = true;
        self
    }

    methods!(get GET, post POST, put PUT, patch PATCH, delete DELETE);

    fn on<H, T>(
        mut self,
        filter: MethodFilter,
        method: &'static str,
        handler: H,
        operation: Operation,
    ) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.methods = self.methods.on(filter, handler);
        self.operations.push((method, operation));
        self
    }
}

impl Operation {
    /// An operation, by the name that generated clients give it.
    pub(crate) fn new(id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            summary,
            description: None,
            headers: &[],
            query: None,
            body: None,
            answers: Vec::new(),
        }
    }

    /// Says more.
    pub(crate) fn details(mut self, description: &'static str) -> Self {
        self.description = Some(description);
        self
    }

    /// It looks at these headers.
    pub(super) fn headers(mut self, headers: &'static [&'static str]) -> Self {
        self.headers = headers;
        self
    }

    /// Its query is parsed into this struct.
    pub(crate) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(T::json_schema);
        self
    }

    /// It takes a body of this type.
    pub(crate) fn takes<T: JsonSchema>(self) -> Self {
        self.takes_as("application/json", SchemaGenerator::subschema_for::<T>)
    }

    /// It takes a body of another media type.
    pub(super) fn takes_as(mut self, media_type: &'static str, schema: SchemaOf) -> Self {
        self.body = Some(Content { media_type, schema });
        self
    }

    /// It may answer with this type.
    pub(crate) fn answers<T: JsonSchema>(self, status: u16, description: &'static str) -> Self {
        self.answers_as(
            status,
            description,
            "application/json",
            SchemaGenerator::subschema_for::<T>,
        )
    }

    /// It may answer in another media type.
    pub(crate) fn answers_as(
        mut self,
        status: u16,
        description: &'static str,
        media_type: &'static str,
        schema: SchemaOf,
    ) -> Self {
        let content = Some(Content { media_type, schema });
        self.answers.push(Answer {
            status,
            description,
            content,
            headers: &[],
        });
        self
    }

    /// It may answer without a body.
    pub(crate) fn answers_empty(mut self, status: u16, description: &'static str) -> Self {
        self.answers.push(Answer {
            status,
            description,
            content: None,
            headers: &[],
        });
        self
    }

    /// The last answer carries these headers.
    pub(super) fn with(mut self, headers: &'static [&'static str]) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers = headers;
        }
        self
    }
}
