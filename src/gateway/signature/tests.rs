use std::sync::Arc;

use flexgate_schemas::{key::KeyTerms, secret::Purpose};
use proptest::prelude::*;

use super::*;

const SECRET: &str = "fgs_a";
const NOW: i64 = 1_800_000_000;

fn id() -> KeyId {
    KeyId::made_of(&[1; 32])
}

fn signer() -> Signer {
    let terms: KeyTerms = serde_json::from_str(r#"{"name":"app"}"#).unwrap();
    let at = Timestamp::from_millis(0).unwrap();
    let key = ApiKey::new(id(), flexgate_schemas::key::SecretHash::of(b"x"), terms);
    let key = key.signing_with("${SIGNING}".parse().unwrap(), at, at);
    let secrets: Secrets = Arc::new(|_: &Secret, purpose: Purpose<'_>| {
        assert_eq!(purpose, signing::purpose(&id()));
        Ok(SECRET.to_owned())
    });
    Signer::of(&key, &secrets).unwrap()
}

fn authorization(signed: Signed<'_>, digest: &Digest) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let message = message(&claimed(None), signed, digest);
    let signature = STANDARD.encode(hmac::sign(&key, message.as_bytes()));
    format!("key={}, timestamp={NOW}, signature={signature}", id())
}

/// Says that it was now, with a signature that is none.
fn claimed(nonce: Option<&str>) -> Claimed {
    Claimed {
        key: id(),
        timestamp: NOW.to_string().into(),
        at: NOW,
        nonce: nonce.map(Box::from),
        signature: Vec::new(),
    }
}

const SIGNED: Signed<'static> = Signed {
    method: "POST",
    host: "api.example:8000",
    path: "/orders",
    query: "page=1",
};

#[test]
fn what_is_signed_is_seven_lines_and_perhaps_a_nonce() {
    let seven = "FlexGate-HMAC-SHA256\n1800000000\nPOST\napi.example:8000\n/orders\npage=1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert_eq!(message(&claimed(None), SIGNED, &NOTHING), seven);
    let eight = message(&claimed(Some("a-1")), SIGNED, &NOTHING);
    assert_eq!(eight, format!("{seven}\na-1"));
}

#[test]
fn a_signature_is_for_one_request_and_no_other() {
    let signer = signer();
    let claimed = Claimed::read(authorization(SIGNED, &NOTHING).as_bytes()).unwrap();
    let verify = |signed, digest: &Digest| signer.verify(&claimed, signed, digest, NOW * 1000);
    assert!(verify(SIGNED, &NOTHING));
    for other in [
        Signed {
            method: "PUT",
            ..SIGNED
        },
        Signed {
            host: "api.example",
            ..SIGNED
        },
        Signed {
            path: "/orders/",
            ..SIGNED
        },
        Signed {
            query: "page=2",
            ..SIGNED
        },
        Signed {
            path: "/orders\npage=1",
            query: "",
            ..SIGNED
        },
    ] {
        assert!(!verify(other, &NOTHING), "{other:?}");
    }
    assert!(!verify(SIGNED, &[0; 32]));
    let mut later = Claimed::read(authorization(SIGNED, &NOTHING).as_bytes()).unwrap();
    later.timestamp = (NOW + 1).to_string().into();
    assert!(!signer.verify(&later, SIGNED, &NOTHING, NOW * 1000));
}

#[test]
fn a_signature_is_good_for_five_minutes_either_way() {
    let claimed = Claimed::read(authorization(SIGNED, &NOTHING).as_bytes()).unwrap();
    for (drift, expected) in [
        (0, Ok(())),
        (300, Ok(())),
        (-300, Ok(())),
        (301, Err(SignatureFault::Time)),
        (-301, Err(SignatureFault::Time)),
    ] {
        assert_eq!(claimed.check_time(NOW + drift), expected, "{drift}");
    }
}

#[test]
fn each_parameter_is_there_once() {
    let good = format!("key={}, timestamp=1, signature=AAAA", id());
    assert!(Claimed::read(good.as_bytes()).is_ok());
    let quoted = format!("signature=\"AA==\",key=\"{}\" , timestamp=\"1\"", id());
    assert!(Claimed::read(quoted.as_bytes()).is_ok());
    let told_apart = format!("{good}, nonce={}", "a".repeat(64));
    assert!(Claimed::read(told_apart.as_bytes()).is_ok());
    for wrong in [
        String::new(),
        format!("{good}, nonce="),
        format!("{told_apart}a"),
        format!("{good}, nonce=a.b"),
        format!("{told_apart}, nonce=b"),
        good.replace("timestamp=1, ", ""),
        format!("{good}, key={}", id()),
        format!("{good}, more=1"),
        good.replace("timestamp=1", "timestamp=+1"),
        good.replace("timestamp=1", "timestamp=99999999999999999999"),
        good.replace("AAAA", "AAA"),
        good.replace("AAAA", "\"AAAA"),
        good.replace("key=", "key=x"),
    ] {
        assert_eq!(
            Claimed::read(wrong.as_bytes()),
            Err(SignatureFault::Malformed),
            "{wrong}"
        );
    }
}

#[test]
fn a_digest_is_read_among_others() {
    let read = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_DIGEST, value.parse().unwrap());
        }
        digest_of(&headers)
    };
    let nothing = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    assert_eq!(read(&[]), Ok(NOTHING));
    assert_eq!(read(&[nothing]), Ok(NOTHING));
    assert_eq!(read(&["sha-512=:AAAA:", nothing]), Ok(NOTHING));
    for wrong in [
        &["sha-512=:AAAA:"][..],
        &["sha-256=:AAAA:"],
        &["sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="],
        &["nonsense"],
        &[nothing, nothing],
    ] {
        assert_eq!(read(wrong), Err(SignatureFault::Digest), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn a_signature_that_was_changed_anywhere_is_not_taken(place in any::<prop::sample::Index>(), byte in 32..127_u8) {
        let good = authorization(SIGNED, &NOTHING);
        let mut changed = good.clone().into_bytes();
        let place = place.index(changed.len());
        changed[place] = byte;
        prop_assume!(changed != good.as_bytes());
        let signer = signer();
        if let Ok(claimed) = Claimed::read(&changed) {
            let is_same = claimed == Claimed::read(good.as_bytes()).unwrap();
            let is_taken = claimed.key == id() && signer.verify(&claimed, SIGNED, &NOTHING, NOW * 1000);
            prop_assert!(!is_taken || is_same);
        }
    }
}
