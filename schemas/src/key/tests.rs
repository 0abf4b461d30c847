use super::*;

fn key(fields: &str) -> ApiKey {
    let hash = serde_json::to_string(&SecretHash::of(b"first")).unwrap();
    let json = format!(r#"{{"id":"7Kx2mPq9RtZa","name":"app","sha256":{hash}{fields}}}"#);
    serde_json::from_str(&json).unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

#[test]
fn a_key_is_written_as_it_was_read_and_costs_no_more_than_it_has() {
    let plain = key(r#","enabled":true"#);
    assert!(plain.particulars.is_none());
    let json = serde_json::to_string(&plain).unwrap();
    assert_eq!(serde_json::from_str::<ApiKey>(&json).unwrap(), plain);
    let scoped = key(
        r#","enabled":false,"scopes":{"routes":["b","a"],"methods":["GET"]},"networks":["10.0.0.1"],"quotas":{"day":5}"#,
    );
    assert!(
        serde_json::to_string(&scoped).unwrap().ends_with(
            r#""enabled":false,"scopes":{"routes":["a","b"],"methods":["GET"]},"networks":["10.0.0.1/32"],"quotas":{"day":5}}"#
        )
    );
    assert_eq!(size_of::<ApiKey>(), 72);
}

#[test]
fn scopes_cover_what_they_list_and_everything_if_they_list_nothing() {
    let covers = |scopes: &str, route: &str, method| {
        let scopes: Scopes = serde_json::from_str(scopes).unwrap();
        scopes.cover(&route.parse().unwrap(), &method)
    };
    assert!(covers("{}", "a", Method::PUT));
    assert!(covers(r#"{"routes":["a"]}"#, "a", Method::PUT));
    assert!(!covers(r#"{"routes":["a"]}"#, "b", Method::PUT));
    assert!(covers(r#"{"methods":["GET"]}"#, "b", Method::GET));
    assert!(!covers(r#"{"routes":["a"],"methods":["GET"]}"#, "a", Method::PUT));
}

#[test]
fn a_rotation_keeps_the_old_secret_for_as_long_as_was_said() {
    let rotated = key("").rotated(SecretHash::of(b"second"), at(1000), at(5000));
    assert!(rotated.sha256.matches(&SecretHash::of(b"second")));
    let own = rotated.particulars();
    assert_eq!(own.rotated_at, Some(at(1000)));
    assert_eq!(
        own.previous,
        [Previous {
            sha256: SecretHash::of(b"first"),
            until: at(5000)
        }]
    );
    let at_once = key("").rotated(SecretHash::of(b"second"), at(1000), at(1000));
    assert!(at_once.particulars().previous.is_empty());
}

#[test]
fn a_rotation_lets_no_earlier_secret_outlive_the_one_that_it_replaces() {
    let twice = key("")
        .rotated(SecretHash::of(b"second"), at(1000), at(9000))
        .rotated(SecretHash::of(b"third"), at(2000), at(5000));
    let until: Vec<_> = twice
        .particulars()
        .previous
        .iter()
        .map(|earlier| earlier.until)
        .collect();
    assert_eq!(until, [at(5000), at(5000)]);
    let later = twice.rotated(SecretHash::of(b"fourth"), at(6000), at(7000));
    assert_eq!(later.particulars().previous.len(), 1);
    let at_once = twice.rotated(SecretHash::of(b"fourth"), at(3000), at(3000));
    assert!(at_once.particulars().previous.is_empty());
}

#[test]
fn a_key_is_revoked_once() {
    let revoked = key("").revoked(at(1000));
    assert_eq!(revoked.revoked(at(2000)), revoked);
    let renamed = revoked.with_terms(KeyTerms {
        name: "other".parse().unwrap(),
        ..revoked.terms()
    });
    assert_eq!(renamed.particulars().revoked_at, Some(at(1000)));
}

#[test]
fn terms_have_no_place_for_secrets_and_dates_of_life() {
    for field in [
        r#""sha256":"0""#,
        r#""revokedAt":null"#,
        r#""previous":[]"#,
        r#""id":"7Kx2mPq9RtZa""#,
    ] {
        let json = format!(r#"{{"name":"app",{field}}}"#);
        assert!(serde_json::from_str::<KeyTerms>(&json).is_err(), "{field}");
    }
}
