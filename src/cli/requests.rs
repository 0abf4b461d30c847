//! `flexgate requests`: what became of single requests.

use chrono::{DateTime, Utc};
use flexgate_schemas::{Millis, Timestamp};
use serde_json::Value;

use super::{
    args::Requests,
    entity::{cell, next_page},
    exit::{Exit, Failure},
    invocation::Invocation,
};

/// The most that are asked for at once.
const PAGE_MAX: u16 = 500;

pub(super) fn search(run: &Invocation, asked: &Requests) -> Result<Exit, Failure> {
    let query = query(asked)?;
    let (found, looked_back_to, has_more) = run.with_admin(async |client| {
        let (mut found, mut looked_back_to) = (Vec::new(), String::new());
        let mut next = Some(format!("/api/requests?{query}"));
        while let Some(page) = next.take_if(|_| found.len() < asked.limit.into()) {
            let mut answer = client.get(&page).await?;
            looked_back_to = cell(&answer.body, "lookedBackTo");
            let requests = answer.body["requests"].as_array_mut();
            found.extend(requests.map(std::mem::take).unwrap_or_default());
            next = next_page(&answer.headers);
        }
        found.truncate(asked.limit.into());
        Ok((found, looked_back_to, next.is_some()))
    })?;
    if run.output.is_data() {
        return run.output.data(&found);
    }
    let row = |request: &Value| {
        let target = format!("{}{}", cell(request, "host"), cell(request, "path"));
        let wrong = [cell(request, "refused"), cell(request, "error")].join(" ");
        [
            cell(request, "timestamp"),
            cell(request, "method"),
            target,
            cell(request, "status"),
            cell(request, "durationMs"),
            cell(request, "route"),
            cell(request, "upstream"),
            cell(request, "client"),
            wrong.trim().to_owned(),
            cell(request, "correlationId"),
        ]
    };
    if found.is_empty() {
        run.output.note(&format!(
            "none, as far back as {looked_back_to}: --since looks further"
        ));
    } else if has_more {
        run.output.note(&format!(
            "there may be more before {looked_back_to}: --limit, or --until that"
        ));
    }
    run.output.table(
        [
            "AT",
            "METHOD",
            "TARGET",
            "STATUS",
            "MS",
            "ROUTE",
            "UPSTREAM",
            "CLIENT",
            "WRONG",
            "CORRELATION ID",
        ],
        found.iter().map(row),
    )
}

/// What is asked for, as the API reads it.
fn query(asked: &Requests) -> Result<String, Failure> {
    let since = asked.since.as_deref().map(time).transpose()?;
    let until = asked.until.as_deref().map(time).transpose()?;
    let parameters = [
        ("route", asked.route.clone()),
        ("upstream", asked.upstream.clone()),
        ("status", asked.status.clone()),
        ("refused", asked.refused.clone()),
        ("error", asked.error.clone()),
        ("method", asked.method.clone()),
        ("path", asked.path.clone()),
        ("minDuration", asked.min_duration.clone()),
        ("client", asked.client.clone()),
        ("key", asked.key.clone()),
        ("correlation", asked.correlation.clone()),
        ("node", asked.node.clone()),
        ("revision", asked.revision.map(|revision| revision.to_string())),
        ("since", since),
        ("until", until),
        ("limit", Some(asked.limit.min(PAGE_MAX).to_string())),
    ];
    let given: Vec<_> = parameters
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    Ok(serde_urlencoded::to_string(given).expect("names and texts"))
}

/// A time, or how long ago it was.
fn time(text: &str) -> Result<String, Failure> {
    if let Ok(span) = text.parse::<Millis>() {
        let ago = Utc::now() - span.duration();
        return Ok(Timestamp::from(ago).to_string());
    }
    let time: Result<DateTime<Utc>, _> = text.parse();
    time.map(|time| Timestamp::from(time).to_string()).map_err(|_| {
        Failure::new(
            Exit::Usage,
            format!(
                "{text:?} is no time: write one such as 2027-01-01T00:00:00Z, or how long ago, such as 15m"
            ),
        )
    })
}
