//! What the API refuses, as a failure of the command: one match from its status and code to ours.

use http::StatusCode;
use serde_json::Value;

use super::{
    entity::cell,
    exit::{Exit, Failure},
};
use crate::problem::FieldError;

/// The failure that a problem (RFC 9457) comes to.
pub(super) fn failure(status: StatusCode, problem: &Value, token_file: &str) -> Failure {
    let text = |name: &str| problem.get(name).and_then(Value::as_str);
    let detail = text("detail").or(text("title"));
    let message = detail.unwrap_or(status.canonical_reason().unwrap_or("refused"));
    let fields = problem
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(field);
    Failure {
        next: next(status, text("code"), token_file),
        fields: fields.collect(),
        ..Failure::new(exit(status), message)
    }
}

fn field(error: &Value) -> FieldError {
    FieldError::new(cell(error, "pointer"), cell(error, "detail"))
}

fn exit(status: StatusCode) -> Exit {
    match status {
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Exit::Conflict,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::PAYLOAD_TOO_LARGE => {
            Exit::Invalid
        }
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            Exit::Unreachable
        }
        _ => Exit::Failed,
    }
}

fn next(status: StatusCode, code: Option<&str>, token_file: &str) -> Option<String> {
    Some(match (status, code) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
            format!(
                "set FLEXGATE_ADMIN_TOKEN, or name the data folder with --data-dir (looked at {token_file})"
            )
        }
        (_, Some("file_conflict")) => "see `flexgate diff FILE`; then write into the file what is there, or let it win with `apply --force`".to_owned(),
        (StatusCode::PRECONDITION_FAILED, _) => {
            "it was changed meanwhile: look at it and try again".to_owned()
        }
        (_, Some("outcome_unknown")) => "look whether it happened with `flexgate events tail`".to_owned(),
        (_, Some("frozen")) => "see `flexgate status` for the reason".to_owned(),
        (StatusCode::SERVICE_UNAVAILABLE, _) => "see `flexgate doctor`, and try again".to_owned(),
        _ => return None,
    })
}
