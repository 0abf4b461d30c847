use super::*;

fn limits(json: &str) -> Result<RateLimits, serde_json::Error> {
    serde_json::from_str(json)
}

#[test]
fn a_limit_is_read_in_both_dialects() {
    let api = limits(r#"{"requests":100,"window":"60s"}"#).unwrap();
    let file = limits(r#"{"max":100,"windowMs":60000}"#).unwrap();
    assert_eq!(api, file);
    assert_eq!(
        serde_json::to_string(&api).unwrap(),
        r#"{"requests":100,"window":"60s"}"#
    );
}

#[test]
fn everything_that_may_be_said_is_written_as_it_is_read() {
    let json = r#"[{"name":"strict","requests":5,"window":"1s","per":["key","address"],"algorithm":"slidingWindow","strict":true,"onRedisFailure":"closed","message":"slow down"},{"requests":9,"window":"60s","burst":3,"per":"address","onRedisFailure":"open"}]"#;
    assert_eq!(serde_json::to_string(&limits(json).unwrap()).unwrap(), json);
}

#[test]
fn only_what_is_new_needs_a_newer_reader() {
    let check = |json: &str, level| assert_eq!(limits(json).unwrap().reader_level(), level, "{json}");
    check(r#"{"max":1,"windowMs":1,"message":"no"}"#, 1);
    check(r#"[{"max":1,"windowMs":1}]"#, 1);
    check(r#"{"max":1,"windowMs":1,"per":"all","strict":false}"#, 1);
    check(r#"{"max":1,"windowMs":1,"burst":1}"#, 4);
    check(r#"{"max":1,"windowMs":1,"per":"key"}"#, 4);
    check(r#"[{"max":1,"windowMs":1},{"max":1,"windowMs":2}]"#, 4);
}

#[test]
fn limits_have_names_and_no_two_the_same() {
    let name = |window: &str| {
        let limit: RateLimit =
            serde_json::from_str(&format!(r#"{{"requests":1,"window":"{window}"}}"#)).unwrap();
        limit.shown_name().to_string()
    };
    assert_eq!(
        ["1s", "1m", "60m", "24h", "90s", "250ms"].map(name),
        ["persec", "permin", "perhour", "perday", "per90s", "per250ms"]
    );
    let same = r#"[{"requests":1,"window":"1s"},{"requests":2,"window":"1s","per":"key"}]"#;
    assert!(limits(same).unwrap_err().to_string().contains("`persec`"));
}

#[test]
fn what_says_nothing_or_too_much_is_refused() {
    let nine = format!("[{}]", [r#"{"requests":1,"window":1}"#; 9].join(","));
    for wrong in [
        "[]",
        &nine,
        r#"{"requests":0,"window":1}"#,
        r#"{"requests":1,"window":1,"burst":0}"#,
        r#"{"requests":1,"window":1,"per":[]}"#,
        r#"{"requests":1,"window":1,"per":["all"]}"#,
        r#"{"requests":1,"window":1,"per":["key","key"]}"#,
        r#"{"requests":1,"window":1,"per":"route"}"#,
        r#"{"requests":1,"window":1,"name":"per minute"}"#,
    ] {
        assert!(limits(wrong).is_err(), "{wrong}");
    }
    assert!(serde_json::from_str::<Cost>("0").is_err() && serde_json::from_str::<Cost>("5").is_ok());
}
