//! Around every request of a control listener: its correlation id, the problem it may end in, and the headers that
//! every answer carries.

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS},
};
use tracing::{Instrument as _, debug, info_span, warn};
use uuid::Uuid;

use crate::{health::Health, problem::Problem};

/// The header that names a request in answers and logs.
const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");

/// Names the request: 1 to 128 visible ASCII characters, the client's own or made here. With the request, for whoever asks.
#[derive(Debug, Clone)]
pub struct CorrelationId(HeaderValue);

impl CorrelationId {
    fn of(headers: &HeaderMap) -> Self {
        let fits = |value: &&HeaderValue| {
            (1..=128).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        let own = || HeaderValue::from_str(&Uuid::now_v7().to_string()).expect("a UUID is visible ASCII");
        Self(headers.get(CORRELATION).filter(fits).cloned().unwrap_or_else(own))
    }

    /// It, as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("only visible ASCII was let in")
    }
}

/// A response that ends in a problem. [`around`] gives it its body, once it knows what to call the request.
pub fn refuse(problem: Problem) -> Response {
    Response::builder()
        .extension(problem)
        .body(Body::empty())
        .expect("no header that could be invalid")
}

/// The outermost middleware.
pub async fn around(State(health): State<Health>, mut request: Request, next: Next) -> Response {
    let correlation = CorrelationId::of(request.headers());
    request.extensions_mut().insert(correlation.clone());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = info_span!("request", %method, path, correlation = correlation.as_str());

    let mut response = next.run(request).instrument(span.clone()).await;

    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        let (status, code, detail) = (problem.status.as_u16(), problem.code, &*problem.detail);
        if problem.status.is_server_error() {
            warn!(parent: &span, status, code, "{detail}");
        } else {
            debug!(parent: &span, status, code, "{detail}");
        }
        problem.instance = Some(path);
        problem.correlation_id = Some(correlation.as_str().to_owned());
        problem.revision = health.revision();
        response = written(problem, response);
    }
    let headers = response.headers_mut();
    headers.insert(CORRELATION, correlation.0);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The problem's own response, with the headers that came with the refusal (`WWW-Authenticate`, `Retry-After`).
fn written(problem: Problem, refusal: Response) -> Response {
    let mut response = problem.into_response().map(Body::from);
    response.headers_mut().extend(refusal.into_parts().0.headers);
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        let entry = response.headers_mut().entry(RETRY_AFTER);
        entry.or_insert(HeaderValue::from_static("1"));
    }
    response
}

/// The answer where no resource is.
pub async fn no_such_path(request: Request) -> Response {
    refuse(Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_path",
        "Not Found",
        format!("nothing is at {}", request.uri().path()),
    ))
}

/// The answer where a resource is that does not take the method. The router adds `Allow`.
pub async fn wrong_method(request: Request) -> Response {
    refuse(Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "Method Not Allowed",
        format!(
            "{} does not take {}; `Allow` lists what it takes",
            request.uri().path(),
            request.method()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correlation_id_of_the_client_is_kept_only_when_it_is_short_and_visible() {
        let check = |sent: &'static str, kept: bool| {
            let headers = HeaderMap::from_iter([(CORRELATION, HeaderValue::from_static(sent))]);
            assert_eq!(CorrelationId::of(&headers).as_str() == sent, kept, "{sent:?}");
        };
        check("order-4711/retry=2", true);
        check("", false);
        check("two words", false);
        check(Box::leak("x".repeat(128).into_boxed_str()), true);
        check(Box::leak("x".repeat(129).into_boxed_str()), false);
    }
}
