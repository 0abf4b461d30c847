use super::*;

const RSA: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsmzape5RWvkGnQr5m1EiAj7jVQKGCU+g7EU+n5nsedS5Jazzrksb7xxV85H3HAnP2N52l5iXumXrvQ93PUCk\
    p4p8mptGWQsvQQIoRMRl/wmDYvczYCynW5BXH026a8wZEllY7/TRNmhdBg+ahXFFkLIjlmyY+vKS+BCg08BfFH2wYWGpkXUIFri5Yb3eL6pFroiGgPk1MV7si9VfLcLl\
    kBPW3Vj/KMqug9ceS6SoL8wuSOTtOQH3IrDFxX7384u0x3ASmoppAYbVDTw6KcBD8ViK8fS9kEuj/pTymMyXM3Xp4MPnAH/4e2h7OHKj+fKkdctejwefL74w2Jy60hU4KQIDAQAB";
const P256: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEwsvTYT5o4DMtcqTyQBJ9+3UCiwjBkI0vpueOC2xzJezasCpIB/PFeU/sdxPUYJ8ml1mLAb75h7ny1fT5L/avmw==";
const P384: &str = "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEyGc4SAgyJrakW/mFom3iecK5NTnHICoREkUyrcgx1aIS4duHY1yfNBYhsXLNNUYzlBlXL13xCCCcbtz+xlnitIwdO/YbZnJL\
    9FZ+q/1S79/37ogxm1V6d53ziftKRJ/g";
const ED25519: &str = "MCowBQYDK2VwAyEA/p5VQLHTeeO/T+Kr+lVBcJKan7IlBqwK0Kmgl5TwhpM=";

fn pem(base64: &str) -> String {
    format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----")
}

fn provider(more: &str) -> Result<TokenProvider, String> {
    let json = format!(r#"{{"name":"corp","issuer":"https://id.example","audiences":["api"],{more}}}"#);
    serde_json::from_str(&json).map_err(|error| error.to_string())
}

fn with_key(algorithm: &str, base64: &str) -> Result<TokenProvider, String> {
    let key = serde_json::to_string(&pem(base64)).unwrap();
    provider(&format!(
        r#""algorithms":["{algorithm}"],"keys":[{{"kid":"1","publicKey":{key}}}]"#
    ))
}

#[test]
fn a_provider_is_written_as_it_was_read() {
    for more in [
        r#""algorithms":["RS256","ES256"],"jwksUrl":"https://id.example/keys""#,
        r#""algorithms":["HS256"],"keys":[{"secret":"${JWT_SECRET}"}]"#,
        r#""algorithms":["RS256"],"jwksUrl":"http://id/keys","leeway":5000,"claimsToHeaders":{"sub":"x-user"},"requiredClaims":{"scope":["a","b"]},"keyClaim":"client_id""#,
    ] {
        let read = provider(more).unwrap();
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<TokenProvider>(&written).unwrap(), read);
        let same = format!(r#"{{"name":"corp","issuer":"https://id.example","audiences":["api"],{more}}}"#);
        assert_eq!(written, same);
    }
}

#[test]
fn a_public_key_is_known_by_what_it_begins_with_and_written_as_others_write_it() {
    for (algorithm, base64, kind, bytes) in [
        ("PS384", RSA, KeyKind::Rsa, 270),
        ("ES256", P256, KeyKind::P256, 65),
        ("ES384", P384, KeyKind::P384, 97),
        ("EdDSA", ED25519, KeyKind::Ed25519, 32),
    ] {
        let KeySource::Public(algorithms, keys) = with_key(algorithm, base64).unwrap().keys else {
            panic!("{algorithm}");
        };
        let key = &keys[0].key;
        assert_eq!(
            (algorithms[0].kind(), key.kind(), key.bytes().len()),
            (kind, kind, bytes)
        );
        assert_eq!(key.to_string().parse(), Ok(key.clone()));
        assert!(key.to_string().lines().all(|line| line.len() <= 64));
    }
}

#[test]
fn a_secret_and_a_public_key_never_stand_together() {
    let refused = |more: &str, says: &str| {
        let error = provider(more).unwrap_err();
        assert!(error.contains(says), "{more}: {error}");
    };
    refused(
        r#""algorithms":["RS256","HS256"],"jwksUrl":"https://a""#,
        "do not go together",
    );
    refused(r#""algorithms":["HS256"],"jwksUrl":"https://a""#, "no JWK Set");
    refused(
        r#""algorithms":["RS256"],"keys":[{"secret":"${A}"}]"#,
        "with a `publicKey`",
    );
    refused(
        r#""algorithms":["none"],"jwksUrl":"https://a""#,
        "unknown variant `none`",
    );
    refused(r#""algorithms":[],"jwksUrl":"https://a""#, "never empty");
    refused(r#""jwksUrl":"https://a""#, "missing field `algorithms`");
    refused(r#""algorithms":["RS256"]"#, "either `jwksUrl` or `keys`");
    let hs_with_public = with_key("HS256", RSA).unwrap_err();
    assert!(hs_with_public.contains("with a `secret`"), "{hs_with_public}");
    let other_kind = with_key("ES256", RSA).unwrap_err();
    assert!(other_kind.contains("none of `algorithms`"), "{other_kind}");
}

#[test]
fn who_a_token_is_for_is_always_checked() {
    let json = r#"{"name":"a","issuer":"b","audiences":[],"algorithms":["RS256"],"jwksUrl":"https://a"}"#;
    let error = serde_json::from_str::<TokenProvider>(json)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`audiences`"), "{error}");
}

#[test]
fn a_claim_never_becomes_a_field_that_means_something_else() {
    for field in [
        "host",
        "authorization",
        "content-length",
        "x-forwarded-for",
        "Via",
    ] {
        let more =
            format!(r#""algorithms":["RS256"],"jwksUrl":"https://a","claimsToHeaders":{{"sub":"{field}"}}"#);
        assert!(provider(&more).is_err(), "{field}");
    }
    let twice =
        r#""algorithms":["RS256"],"jwksUrl":"https://a","claimsToHeaders":{"sub":"x-user","name":"X-User"}"#;
    assert!(provider(twice).unwrap_err().contains("two claims"));
}

#[test]
fn what_is_no_public_key_is_refused_and_not_repeated() {
    let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----";
    for text in [
        private,
        &pem("AAAA"),
        &pem(&P256[..80]),
        &pem("MCowBQYDK2VvAyEA/p5VQLHTeeO/T+Kr+lVBcJKan7IlBqwK0Kmgl5TwhpM="),
    ] {
        let error = text.parse::<PublicKey>().unwrap_err().to_string();
        assert!(error.contains("-pubout") && !error.contains("MC4CAQ"), "{error}");
    }
}
