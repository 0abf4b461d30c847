//! What a request must be before it is sent on: its media type, fields and parameters, and its body.

use std::{borrow::Cow, rc::Rc, sync::Arc};

use flexgate_schemas::{
    Route, Validation,
    media_range::{MediaRange, MediaType},
    rare::Rare,
    validation::{BodyRules, HeldSize},
};
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};

use super::{
    ask::Answer,
    compress::is_coded,
    exchange::Routed,
    held::Held,
    refusal::{Invalid, Refusal},
    request_body::Source,
};
use crate::{
    routing,
    validation::{Mistake, Place, Schema},
};

/// What a body is that does not say what it is (RFC 9110 8.3).
const UNTYPED: &str = "application/octet-stream";
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The rules of a route, ready to be held against requests.
#[derive(Debug)]
pub(super) struct CompiledValidation {
    rules: Validation,
    /// The media types that it takes, as `Accept` has them.
    accept: HeaderValue,
    body: Option<BodyCheck>,
}

/// What a body must be.
#[derive(Debug, Clone)]
struct BodyCheck {
    /// None: the log has a schema that this build takes for none. Nobody passes.
    schema: Option<Arc<Schema>>,
    /// In bytes.
    max: u64,
}

impl CompiledValidation {
    /// None for a route that takes any request. `before` is what a previous version of the route had.
    pub(super) fn compile(route: &Route, before: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let rules = &route.validate;
        if *rules == Rare::default() {
            return None;
        }
        if let Some(before) = before.filter(|before| before.rules == **rules) {
            return Some(Arc::clone(before));
        }
        Some(Arc::new(Self {
            rules: Validation::clone(rules),
            accept: accept(&rules.content_types),
            body: rules.body.as_ref().map(|body| BodyCheck::compile(body, route)),
        }))
    }

    /// What is to be done about the body, if all the rest is right.
    fn judge(&self, request: &Routed) -> Result<Option<&BodyCheck>, Refusal> {
        let exchange = &request.arrived.exchange;
        let headers = &request.arrived.headers;
        let has_body = !request.arrived.body.is_end_stream();
        if has_body && !is_taken(&self.rules.content_types, headers) {
            return Err(Refusal::Invalid(Invalid::MediaType(self.accept.clone())));
        }
        let mistakes = mistakes(&self.rules, headers, exchange.uri.query());
        if !mistakes.is_empty() {
            return Err(Refusal::Invalid(Invalid::Head(mistakes)));
        }
        let Some(check) = &self.body else { return Ok(None) };
        if !has_body && !is_about_its_body(&exchange.method) {
            return Ok(None);
        }
        if exchange.is_call {
            return Err(Refusal::Invalid(Invalid::MediaType(JSON))); // its messages are none
        }
        if is_coded(headers) {
            return Err(Refusal::Invalid(Invalid::Coding));
        }
        if request.arrived.body.size_hint().lower() > check.max {
            return Err(Refusal::BodyTooLarge);
        }
        Ok(Some(check))
    }
}

impl BodyCheck {
    fn compile(rules: &BodyRules, route: &Route) -> Self {
        let schema = Schema::compile(&rules.schema)
            .inspect_err(|mistake| {
                tracing::warn!(
                    route = %route.id, pointer = mistake.pointer, reason = mistake.detail,
                    "the schema of a route cannot be read: its requests are refused"
                );
            })
            .ok();
        Self {
            schema: schema.map(Arc::new),
            max: rules.max_size.map_or(BodyRules::MAX_SIZE, HeldSize::get),
        }
    }

    /// Holds the body until it is known to be right.
    async fn pass(self, mut request: Routed) -> Result<Routed, Refusal> {
        let exchange = Rc::clone(&request.arrived.exchange);
        let schema = self.schema.ok_or(Refusal::Invalid(Invalid::Unjudgeable))?;
        let source = std::mem::replace(&mut request.arrived.body, Source::Nothing);
        let held = Held::gather(source, &exchange, self.max).await?;
        exchange.client.core.judges.judge(&schema, held.bytes()).await?;
        request.arrived.body = Source::Held(Box::new(held));
        Ok(request)
    }
}

/// Refuses requests that are not what their route takes. One whose body has to be seen waits until all of it is here.
pub(super) fn validate(request: Routed) -> Answer<Routed> {
    let Some(validation) = &request.route.policies().validation else {
        return Answer::Now(Ok(request));
    };
    match validation.judge(&request) {
        Ok(None) => Answer::Now(Ok(request)),
        Ok(Some(check)) => Answer::Later(Box::pin(check.clone().pass(request))),
        Err(refusal) => Answer::Now(Err(refusal)),
    }
}

fn accept(ranges: &[MediaRange]) -> HeaderValue {
    let ranges: Vec<_> = ranges.iter().map(ToString::to_string).collect();
    HeaderValue::try_from(ranges.join(", ")).unwrap_or(JSON) // a value of a parameter may be what no field can have
}

/// Whether a body's media type is one of these. One that is said twice is none: nobody knows which of them counts.
fn is_taken(ranges: &[MediaRange], headers: &HeaderMap) -> bool {
    if ranges.is_empty() {
        return true;
    }
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let said = match (lines.next(), lines.next()) {
        (None, _) => Some(UNTYPED),
        (Some(only), None) => only.to_str().ok(),
        (Some(_), Some(_)) => None,
    };
    let media_type = said.and_then(MediaType::parse);
    media_type.is_some_and(|media_type| ranges.iter().any(|range| range.includes(&media_type)))
}

/// Everything that is missing or wrong beside the body. What would be right is not said: it may be nobody's business.
fn mistakes(rules: &Validation, headers: &HeaderMap, query: Option<&str>) -> Vec<Mistake> {
    let query = query.unwrap_or_default();
    let fields = rules.headers.iter().filter_map(|field| {
        let lines = headers.get_all(field.name.as_header()).iter();
        let fits = |line: &HeaderValue| routing::fits(&field.wanted, line.as_bytes());
        let detail = fault(lines.map(fits))?;
        let at = Place::Header(field.name.to_string());
        Some(Mistake { at, detail })
    });
    let parameters = rules.query.iter().filter_map(|parameter| {
        let name = parameter.name.as_str();
        let fits = |value: &str| routing::fits_decoded(&parameter.wanted, value);
        let detail = fault(routing::values_of(query, name).map(fits))?;
        let at = Place::Parameter(name.to_owned());
        Some(Mistake { at, detail })
    });
    fields.chain(parameters).collect()
}

/// What is wrong with something that must be there and, each time it is, fit.
fn fault(fits: impl Iterator<Item = bool>) -> Option<Cow<'static, str>> {
    let mut is_there = false;
    for fits in fits {
        if !fits {
            return Some(Cow::Borrowed("is not what this route takes"));
        }
        is_there = true;
    }
    (!is_there).then_some(Cow::Borrowed("is missing"))
}

/// Whether a request with this method means nothing without a body (RFC 9110 9.3, RFC 5789).
fn is_about_its_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::headers::tests::headers;

    fn rules(json: &str) -> Validation {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_body_has_one_type_and_it_is_one_that_is_taken() {
        let check = |lines: &[(&str, &str)], expected| {
            let rules = rules(r#"{"contentTypes":["application/json","text/*"]}"#);
            assert_eq!(
                is_taken(&rules.content_types, &headers(lines)),
                expected,
                "{lines:?}"
            );
        };
        check(&[("content-type", "application/json; charset=utf-8")], true);
        check(&[("content-type", "TEXT/csv")], true);
        check(&[("content-type", "image/png")], false);
        check(&[("content-type", "json")], false);
        check(
            &[("content-type", "text/csv"), ("content-type", "text/csv")],
            false,
        );
        check(&[("content-type", "text/csv, text/csv")], false);
        check(&[], false);
        let any = rules(r#"{"contentTypes":["application/*"]}"#);
        assert!(
            is_taken(&any.content_types, &headers(&[])),
            "what is not said may be anything"
        );
        assert!(is_taken(&[], &headers(&[("content-type", "nothing at all")])));
    }

    #[test]
    fn every_field_and_parameter_that_is_missing_or_wrong_is_told() {
        let rules = rules(
            r#"{"headers":[{"name":"x-a"},{"name":"x-b","value":"1"},{"name":"x-c","regex":"[0-9]+"}],
                "query":[{"name":"v w","regex":"a b|c"},{"name":"page"}]}"#,
        );
        let check = |lines: &[(&str, &str)], query: &str, expected: &str| {
            let told = mistakes(&rules, &headers(lines), Some(query));
            assert_eq!(serde_json::to_string(&told).unwrap(), expected);
        };
        let right = [("x-a", ""), ("x-b", "1"), ("x-c", "12"), ("x-c", "3")];
        check(&right, "page&v+w=a%20b&v%20w=c", "[]");
        check(
            &[("x-b", "secret"), ("x-c", "1"), ("x-c", "secret")],
            "v w=c&v%20w=secret",
            r#"[{"header":"x-a","detail":"is missing"},{"header":"x-b","detail":"is not what this route takes"},{"header":"x-c","detail":"is not what this route takes"},{"parameter":"v w","detail":"is not what this route takes"},{"parameter":"page","detail":"is missing"}]"#,
        );
    }
}
