use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};

use flexgate_schemas::tokens::TokenAlgorithm;

use super::{claims, key::Verdict, verify::TokenFault, *};
use crate::gateway::SecretMissing;

const NOW: i64 = 1_800_000_000;
const SECRET: &str = "a secret of thirty-two bytes, at least";

fn provider(more: &Value) -> TokenProvider {
    let mut json = json!({
        "name": "corp", "issuer": "https://id.example", "audiences": ["api", "other-api"],
        "algorithms": ["HS256"], "keys": [{"kid": "1", "secret": "${SECRET}"}],
    });
    let own = json.as_object_mut().unwrap();
    own.extend(more.as_object().unwrap().clone());
    serde_json::from_value(json).unwrap()
}

fn tokens(more: &Value) -> Arc<Tokens> {
    let secrets: Secrets = Arc::new(|secret: &flexgate_schemas::Secret, _: Purpose<'_>| {
        let known = secret.to_string() == "${SECRET}";
        known.then(|| SECRET.to_owned()).ok_or(SecretMissing("no".into()))
    });
    Arc::new(Tokens::compile(
        &[provider(more)],
        &Tokens::default(),
        &secrets,
        &Arc::new(FetchDesk::new(FETCH_PAUSE)),
    ))
}

fn claims(change: &Value) -> Value {
    let mut claims = json!({"iss": "https://id.example", "sub": "ada", "aud": "api", "exp": NOW + 60});
    for (name, value) in change.as_object().unwrap() {
        let own = claims.as_object_mut().unwrap();
        if value.is_null() {
            own.remove(name);
        } else {
            own.insert(name.clone(), value.clone());
        }
    }
    claims
}

fn signed_with(header: &Header, claims: &Value) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

fn signed(change: &Value) -> String {
    signed_with(&Header::new(Algorithm::HS256), &claims(change))
}

fn found(tokens: &Arc<Tokens>, token: &str) -> Result<Rc<TokenCaller>, TokenFault> {
    match tokens.find(&KnownTokens::default(), token, NOW) {
        Found::Caller(caller) => Ok(caller),
        Found::Fault(fault) => Err(fault),
        Found::NoKeys | Found::Missing(..) => panic!("the keys are here"),
    }
}

#[test]
fn what_is_wrong_with_a_token_is_said() {
    let tokens = tokens(&json!({}));
    let check = |change: &Value, expected: Result<(), TokenFault>| {
        let verdict = found(&tokens, &signed(change)).map(drop);
        assert_eq!(verdict, expected, "{change}");
    };
    check(&json!({}), Ok(()));
    check(&json!({"aud": ["x", "other-api"]}), Ok(()));
    check(&json!({"iss": "https://other.example"}), Err(TokenFault::Issuer));
    check(&json!({"iss": null}), Err(TokenFault::Issuer));
    check(&json!({"aud": "x"}), Err(TokenFault::Audience));
    check(&json!({"aud": []}), Err(TokenFault::Audience));
    check(&json!({"aud": null}), Err(TokenFault::Audience));
    check(&json!({"exp": null}), Err(TokenFault::NoExpiry));
    check(&json!({"exp": "soon"}), Err(TokenFault::Malformed));
    check(&json!({"sub": null}), Err(TokenFault::NoSubject));
    check(&json!({"sub": ""}), Err(TokenFault::NoSubject));
    check(&json!({"sub": "a\nb"}), Err(TokenFault::NoSubject));
    check(&json!({"sub": "x".repeat(300)}), Err(TokenFault::NoSubject));
}

#[test]
fn clocks_may_differ_by_the_leeway_and_no_more() {
    let check = |more: &Value, change: &Value, expected: Result<(), TokenFault>| {
        let verdict = found(&tokens(more), &signed(change)).map(drop);
        assert_eq!(verdict, expected, "{more} {change}");
    };
    let (default, none) = (json!({}), json!({"leeway": "1s"}));
    check(&default, &json!({"exp": NOW - 29}), Ok(()));
    check(&default, &json!({"exp": NOW - 30}), Err(TokenFault::Expired));
    check(&default, &json!({"exp": 1_799_999_971.9}), Ok(()));
    check(&default, &json!({"exp": 1e300}), Ok(()));
    check(&none, &json!({"exp": NOW}), Ok(()));
    check(&none, &json!({"exp": NOW - 1}), Err(TokenFault::Expired));
    check(&default, &json!({"nbf": NOW + 30}), Ok(()));
    check(&default, &json!({"nbf": NOW + 31}), Err(TokenFault::NotYet));
    check(&default, &json!({"nbf": "now"}), Err(TokenFault::Malformed));
}

/// A token whose parts are these, signed as the secret signs, whatever its header says.
fn made_up(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn the_algorithm_is_the_pinned_one_whatever_a_token_says() {
    let tokens = tokens(&json!({}));
    let claims = claims(&json!({}));
    for algorithm in ["none", "None", "HS384", "HS512", "RS256", "hs256", ""] {
        let token = made_up(&json!({"alg": algorithm, "kid": "1"}), &claims);
        assert_eq!(found(&tokens, &token), Err(TokenFault::Algorithm), "{algorithm}");
        let (unsigned, _) = token.rsplit_once('.').unwrap();
        assert_eq!(
            found(&tokens, &format!("{unsigned}.")),
            Err(TokenFault::Algorithm),
            "{algorithm}"
        );
    }
    let critical = made_up(&json!({"alg": "HS256", "crit": ["b64"], "b64": false}), &claims);
    assert_eq!(found(&tokens, &critical), Err(TokenFault::Critical));
    let good = made_up(&json!({"alg": "HS256", "kid": "1"}), &claims);
    assert!(found(&tokens, &good).is_ok());
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    assert_eq!(
        found(&tokens, &format!("{unsigned}.")),
        Err(TokenFault::Signature)
    );
}

#[test]
fn a_key_is_found_by_its_id_or_by_its_algorithm() {
    let tokens =
        tokens(&json!({"keys": [{"kid": "1", "secret": "${OTHER}"}, {"kid": "2", "secret": "${SECRET}"}]}));
    let with_kid = |kid: Option<&str>| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = kid.map(str::to_owned);
        found(&tokens, &signed_with(&header, &claims(&json!({})))).map(drop)
    };
    assert_eq!(with_kid(Some("2")), Ok(()));
    assert_eq!(with_kid(None), Ok(()));
    assert_eq!(
        with_kid(Some("1")),
        Err(TokenFault::UnknownKey),
        "it cannot be resolved here"
    );
    assert_eq!(with_kid(Some("3")), Err(TokenFault::UnknownKey));
}

#[test]
fn what_is_no_token_is_refused_before_anything_is_done_for_it() {
    let tokens = tokens(&json!({}));
    let long = format!("{}.e30.x", "A".repeat(20_000));
    for (token, fault) in [
        ("", TokenFault::Malformed),
        ("a.b", TokenFault::Malformed),
        ("e30.e30.", TokenFault::Malformed),
        ("eyJhbGciOiJIUzI1NiJ9.W10.", TokenFault::Malformed),
        (
            "eyJhbGciOiJIUzI1NiIsImFsZyI6Im5vbmUifQ.e30.",
            TokenFault::Malformed,
        ),
        (&long, TokenFault::TooLong),
    ] {
        assert_eq!(found(&tokens, token), Err(fault), "{token:.40}");
    }
}

#[test]
fn required_claims_have_one_of_their_values() {
    let check = |required: &Value, change: &Value, lacks: bool| {
        let tokens = tokens(&json!({ "requiredClaims": required }));
        assert_eq!(
            found(&tokens, &signed(change)).unwrap().lacks,
            lacks,
            "{required} {change}"
        );
    };
    let scope = json!({"scope": ["orders:read", "orders:write"]});
    check(&scope, &json!({"scope": "a orders:write b"}), false);
    check(&scope, &json!({"scope": ["orders:read"]}), false);
    check(&scope, &json!({"scope": "orders"}), true);
    check(&scope, &json!({}), true);
    let role = json!({"/realm/roles": ["admin"]});
    check(&role, &json!({"realm": {"roles": ["user", "admin"]}}), false);
    check(&role, &json!({"realm": {"roles": "user admin"}}), true);
    check(&role, &json!({"realm": {"roles": {"admin": true}}}), true);
    check(&json!({"email": []}), &json!({"email": "a@b"}), false);
    check(&json!({"email": []}), &json!({}), true);
    check(
        &json!({"verified": ["true"], "level": ["3"]}),
        &json!({"verified": true, "level": 3}),
        false,
    );
    check(
        &json!({"verified": ["true"], "level": ["3"]}),
        &json!({"verified": true, "level": 4}),
        true,
    );
}

#[test]
fn claims_become_fields_or_nothing() {
    let check = |value: &Value, expected: Option<&str>| {
        let provider = provider(&json!({"claimsToHeaders": {"c": "x-c"}}));
        let claims = json!({ "c": value });
        let fields = claims::fields(&provider, claims.as_object().unwrap());
        let field = fields.first().map(|(_, value)| value.as_bytes());
        assert_eq!(field, expected.map(str::as_bytes), "{value}");
    };
    check(&json!("ada"), Some("ada"));
    check(&json!(7), Some("7"));
    check(&json!(true), Some("true"));
    check(&json!(["a", 1, "b"]), Some("a,1,b"));
    check(&json!(["a,b"]), None);
    check(&json!([["a"]]), None);
    check(&json!({"a": 1}), None);
    check(&json!(null), None);
    check(&json!(""), None);
    check(&json!("a\r\nx-admin: 1"), Some("a%0D%0Ax-admin: 1"));
    check(&json!("x".repeat(5000)), None);
}

#[test]
fn a_token_may_stand_for_an_api_key() {
    let tokens = tokens(&json!({"keyClaim": "azp"}));
    let key = |change: &Value| found(&tokens, &signed(change)).map(|caller| caller.key);
    assert_eq!(
        key(&json!({"azp": "AAAAAAAAAAAA"})),
        Ok(Some("AAAAAAAAAAAA".parse().unwrap()))
    );
    assert_eq!(key(&json!({"azp": "no id"})), Err(TokenFault::Key));
    assert_eq!(key(&json!({})), Err(TokenFault::Key));
}

#[test]
fn a_token_is_known_until_it_expires_and_as_long_as_nothing_changes() {
    let tokens_now = tokens(&json!({}));
    let known = KnownTokens::default();
    let token = signed(&json!({}));
    let at = |tokens: &Arc<Tokens>, now: i64| match tokens.find(&known, &token, now) {
        Found::Caller(caller) => Ok(caller),
        Found::Fault(fault) => Err(fault),
        Found::NoKeys | Found::Missing(..) => panic!("the keys are here"),
    };
    let first = at(&tokens_now, NOW).unwrap();
    assert!(Rc::ptr_eq(&first, &at(&tokens_now, NOW + 89).unwrap()));
    assert_eq!(at(&tokens_now, NOW + 90), Err(TokenFault::Expired));
    assert!(Rc::ptr_eq(&first, &at(&tokens_now, NOW).unwrap()));

    let other_audience = tokens(&json!({"audiences": ["x"]}));
    assert_eq!(at(&other_audience, NOW), Err(TokenFault::Audience));
    for number in 0..2000 {
        let other = signed(&json!({"aud": "x", "sub": number.to_string()}));
        assert!(matches!(
            other_audience.find(&known, &other, NOW),
            Found::Caller(_)
        ));
    }
    assert!(known.len() <= 1024);
}

#[test]
fn of_a_jwk_set_only_what_may_verify_is_taken() {
    let x = URL_SAFE_NO_PAD.encode([7; 32]);
    let kinds = [
        TokenAlgorithm::EdDSA,
        TokenAlgorithm::ES256,
        TokenAlgorithm::RS256,
    ];
    let usable = |key: Value| {
        let set = json!({"keys": [{"kty": "unheard-of"}, "nonsense", key]}).to_string();
        !Keys::published(set.as_bytes(), &kinds).unwrap().is_empty()
    };
    let ed = |more: Value| {
        let mut key = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
        key.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        key
    };
    assert!(usable(ed(json!({}))));
    assert!(usable(ed(
        json!({"alg": "EdDSA", "use": "sig", "key_ops": ["verify"], "x5t": "?"})
    )));
    assert!(!usable(ed(json!({"use": "enc"}))));
    assert!(!usable(ed(json!({"key_ops": ["sign"]}))));
    assert!(!usable(ed(json!({"alg": "RS256"}))));
    assert!(!usable(ed(json!({"crv": "X25519"}))));
    assert!(!usable(ed(json!({"x": "AAAA"}))));
    assert!(!usable(json!({"kty": "oct", "k": x, "alg": "HS256"})));
    assert!(
        !usable(json!({"kty": "EC", "crv": "P-256", "x": x, "y": x})),
        "it is not on the curve"
    );
    let short = URL_SAFE_NO_PAD.encode([255; 128]);
    assert!(
        !usable(json!({"kty": "RSA", "n": short, "e": "AQAB"})),
        "1024 bits are too few"
    );
    assert!(Keys::published(b"[]", &kinds).is_none());
}

#[test]
fn a_secret_that_could_be_guessed_verifies_nothing() {
    let named = |key: &str| Named {
        kid: None,
        key: key.to_owned(),
    };
    let keys = Keys::shared(vec![named("short"), named(SECRET)], &[TokenAlgorithm::HS256]);
    assert_eq!(
        keys.verify((None, TokenAlgorithm::HS256), b"a", b"b"),
        Verdict::Forged
    );
    assert!(Keys::shared(vec![named("short")], &[TokenAlgorithm::HS256]).is_empty());
    assert!(Keys::shared(vec![named(SECRET)], &[TokenAlgorithm::HS512]).is_empty());
}

proptest! {
    #[test]
    fn a_token_that_was_changed_anywhere_is_not_taken(place in any::<prop::sample::Index>(), byte in 0..128_u8) {
        let token = signed(&json!({}));
        let mut changed = token.clone().into_bytes();
        let place = place.index(changed.len());
        changed[place] = byte;
        let changed = String::from_utf8(changed).unwrap();
        prop_assume!(changed != token);
        prop_assert!(found(&tokens(&json!({})), &changed).is_err(), "{changed}");
    }
}
