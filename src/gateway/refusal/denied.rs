//! The words for those who may not.

use flexgate_schemas::policy::CredentialKind;
use http::{HeaderMap, HeaderValue, StatusCode, header::WWW_AUTHENTICATE};

use super::{
    super::{authenticate::Denied, basic, exchange::Exchange, signature::SCHEME},
    Words,
};

/// Nothing of a credential, and nothing of a key to those who do not have it.
pub(super) fn words(denied: Denied) -> Words {
    let unauthorized = |code, title, detail: &str| {
        Words::new(
            StatusCode::UNAUTHORIZED,
            code,
            title,
            detail,
            "http_request_denied",
        )
    };
    let inactive = |detail| unauthorized("key_inactive", "API key not active", detail);
    let forbidden =
        |code, title, detail| Words::new(StatusCode::FORBIDDEN, code, title, detail, "http_request_denied");
    match denied {
        Denied::NoCredential => unauthorized(
            "unauthorized",
            "Credential required",
            "This route is for those who say who they are. WWW-Authenticate lists how.",
        ),
        Denied::NotAccepted => unauthorized(
            "credential_not_accepted",
            "Credential not accepted",
            "This route does not take credentials of this kind. WWW-Authenticate lists those that it takes.",
        ),
        Denied::Invalid => unauthorized(
            "invalid_credential",
            "Invalid credential",
            "The credential of the request is not valid.",
        ),
        Denied::Revoked => inactive("The API key was revoked."),
        Denied::Disabled => inactive("The API key is disabled."),
        Denied::Expired => inactive("The API key has expired."),
        Denied::Network => forbidden(
            "network_denied",
            "Network not allowed",
            "The API key is not taken from this address.",
        ),
        Denied::Token(fault) => unauthorized("invalid_token", "Invalid token", &fault.to_string()),
        Denied::Signature(fault) => {
            unauthorized("invalid_signature", "Invalid signature", &fault.to_string())
        }
        Denied::Replayed => unauthorized(
            "signature_replayed",
            "Signature used before",
            "The signature was used for a request before: sign each attempt anew, and equal ones of the same second with a nonce.",
        ),
        Denied::Claim => forbidden(
            "insufficient_scope",
            "Insufficient scope",
            "The token lacks a claim that is asked for here, or the value that it should have.",
        ),
        Denied::Scope => forbidden(
            "scope_denied",
            "Out of scope",
            "The API key does not open this route with this method.",
        ),
    }
}

/// What the route would take (RFC 9110 11.6.1), and what is wrong with a token that was sent (RFC 6750 3.1).
pub(super) fn challenge(headers: &mut HeaderMap, denied: Denied, exchange: &Exchange) {
    let error = match denied {
        Denied::NoCredential | Denied::NotAccepted | Denied::Signature(_) | Denied::Replayed => "",
        Denied::Network | Denied::Scope => return,
        Denied::Claim => ", error=\"insufficient_scope\"",
        Denied::Invalid | Denied::Revoked | Denied::Disabled | Denied::Expired | Denied::Token(_) => {
            ", error=\"invalid_token\""
        }
    };
    let route = exchange.route.get();
    let auth = route.map(|route| route.auth).unwrap_or_default();
    let snapshot = &exchange.snapshot;
    let has_bearers = auth.accepts(CredentialKind::ApiKey) || auth.accepts(CredentialKind::Jwt);
    let has_signers = auth.accepts(CredentialKind::Signature) && !snapshot.signers.is_empty();
    let has_names = auth.accepts(CredentialKind::Basic) && !snapshot.usernames.is_empty();
    let challenges = [
        has_bearers.then(|| format!("Bearer realm=\"flexgate\"{error}")),
        auth.accepts(CredentialKind::ApiKey).then(|| {
            let field = snapshot.settings.auth.header();
            format!("ApiKey realm=\"flexgate\", header=\"{field}\"")
        }),
        (has_signers || auth.names(CredentialKind::Signature))
            .then(|| format!("{SCHEME} realm=\"flexgate\"")),
        (has_names || auth.names(CredentialKind::Basic))
            .then(|| format!("{} realm=\"flexgate\", charset=\"UTF-8\"", basic::SCHEME)),
        // No scheme of HTTP: so that a route which takes nothing else says so, too.
        auth.names(CredentialKind::Certificate)
            .then(|| "ClientCertificate realm=\"flexgate\"".to_owned()),
    ];
    for value in challenges
        .into_iter()
        .flatten()
        .filter_map(|text| HeaderValue::try_from(text).ok())
    {
        headers.append(WWW_AUTHENTICATE, value);
    }
}
