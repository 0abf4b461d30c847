-- Why: the questions that people ask of a gateway are always the same, and each takes a join or a merge of sketches that
-- nobody wants to write twice: how available was it, what is left of the error budget, who is slow, who uses it, and what
-- did that change do to the errors? Here each is a view. And whoever only asks gets a role that can do no more.

CREATE VIEW flexgate.availability AS
SELECT day, route, requests, errors, 1 - errors::double precision / requests AS availability
FROM flexgate.rollup_daily
WHERE route IS NOT NULL AND requests > 0;
COMMENT ON VIEW flexgate.availability IS 'How much of what was asked of each route on a day went well.';
COMMENT ON COLUMN flexgate.availability.day IS 'The day, in UTC.';
COMMENT ON COLUMN flexgate.availability.route IS 'The id of the route.';
COMMENT ON COLUMN flexgate.availability.requests IS 'How many requests there were.';
COMMENT ON COLUMN flexgate.availability.errors IS 'How many were answered with a status from 500 on, or not to the end because the upstream broke off.';
COMMENT ON COLUMN flexgate.availability.availability IS 'The share of the others, 0 to 1.';

CREATE FUNCTION flexgate.error_budget(objective double precision, days integer)
RETURNS TABLE (route text, requests bigint, errors bigint, allowed double precision, spent double precision)
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog
BEGIN ATOMIC
    SELECT route, sum(requests)::bigint, sum(errors)::bigint, sum(requests)::double precision * (1 - objective),
        sum(errors)::double precision / nullif(sum(requests)::double precision * (1 - objective), 0)
    FROM flexgate.rollup_daily
    WHERE route IS NOT NULL AND day > (now() AT TIME ZONE 'UTC')::date - days
    GROUP BY route;
END;
COMMENT ON FUNCTION flexgate.error_budget IS 'For each route, how many errors its requests of the last so many days (today is one) may have by an objective such as 0.999, how many they had, and which share of what is allowed that is: above 1 the objective is missed.';

CREATE VIEW flexgate.error_budget AS SELECT * FROM flexgate.error_budget(0.999, 30);
COMMENT ON VIEW flexgate.error_budget IS 'What is left of the errors that an availability of 99.9 % allows each route in 30 days, of which today is one. For another objective or time there is the function of this name.';
COMMENT ON COLUMN flexgate.error_budget.route IS 'The id of the route.';
COMMENT ON COLUMN flexgate.error_budget.requests IS 'How many requests there were.';
COMMENT ON COLUMN flexgate.error_budget.errors IS 'How many were errors, as in availability.';
COMMENT ON COLUMN flexgate.error_budget.allowed IS 'How many may have been.';
COMMENT ON COLUMN flexgate.error_budget.spent IS 'The share of the allowed ones that there were; above 1 the objective is missed.';

CREATE VIEW flexgate.top_routes AS
SELECT r.route, max(c.path) AS path, sum(r.requests)::bigint AS requests, sum(r.errors)::bigint AS errors,
    sum(r.bytes_out)::bigint AS bytes_out, (sum(r.requests) / sum(sum(r.requests)) OVER ())::double precision AS share
FROM flexgate.rollup_hourly r LEFT JOIN flexgate.routes c ON c.id = r.route
WHERE r.hour > now() - interval '24 hours'
GROUP BY r.route
ORDER BY requests DESC, r.route;
COMMENT ON VIEW flexgate.top_routes IS 'Who had the most requests in the last 24 hours, of which the one that runs is one.';
COMMENT ON COLUMN flexgate.top_routes.route IS 'The id of the route; null: no route matched.';
COMMENT ON COLUMN flexgate.top_routes.path IS 'The pattern of its path now; null if it is gone.';
COMMENT ON COLUMN flexgate.top_routes.requests IS 'How many requests there were.';
COMMENT ON COLUMN flexgate.top_routes.errors IS 'How many were errors, as in availability.';
COMMENT ON COLUMN flexgate.top_routes.bytes_out IS 'Bytes of the answers'' bodies.';
COMMENT ON COLUMN flexgate.top_routes.share IS 'Its share of all requests, 0 to 1.';

CREATE VIEW flexgate.slowest_routes AS
SELECT route, flexgate.sketch_count(latency) AS requests,
    flexgate.percentile(latency, 0.5) / 1000 AS p50_ms, flexgate.percentile(latency, 0.95) / 1000 AS p95_ms,
    flexgate.percentile(latency, 0.99) / 1000 AS p99_ms,
    flexgate.percentile(upstream_latency, 0.95) / 1000 AS upstream_p95_ms
FROM (
    SELECT route, flexgate.merge(latency)::flexgate.sketch AS latency,
        flexgate.merge(upstream_latency)::flexgate.sketch AS upstream_latency
    FROM flexgate.rollup_hourly
    WHERE hour > now() - interval '24 hours' AND route IS NOT NULL
    GROUP BY route
) merged
ORDER BY p95_ms DESC, route;
COMMENT ON VIEW flexgate.slowest_routes IS 'How long the routes took in the last 24 hours, the slowest first. Percentiles are within 0.54 %.';
COMMENT ON COLUMN flexgate.slowest_routes.route IS 'The id of the route.';
COMMENT ON COLUMN flexgate.slowest_routes.requests IS 'How many requests there were.';
COMMENT ON COLUMN flexgate.slowest_routes.p50_ms IS 'What half of them stayed within, in milliseconds.';
COMMENT ON COLUMN flexgate.slowest_routes.p95_ms IS 'What 95 % of them stayed within, in milliseconds.';
COMMENT ON COLUMN flexgate.slowest_routes.p99_ms IS 'What 99 % of them stayed within, in milliseconds.';
COMMENT ON COLUMN flexgate.slowest_routes.upstream_p95_ms IS 'What 95 % of the upstreams'' answers had begun within, in milliseconds; null if no upstream answered.';

CREATE VIEW flexgate.key_usage AS
SELECT (u.hour AT TIME ZONE 'UTC')::date AS day, u.api_key, max(k.name) AS name, sum(u.requests)::bigint AS requests,
    sum(u.errors)::bigint AS errors, sum(u.bytes_in)::bigint AS bytes_in, sum(u.bytes_out)::bigint AS bytes_out
FROM flexgate.usage_hourly u LEFT JOIN flexgate.api_keys k ON k.id = u.api_key
GROUP BY 1, 2;
COMMENT ON VIEW flexgate.key_usage IS 'What each API key was used for on a day.';
COMMENT ON COLUMN flexgate.key_usage.day IS 'The day, in UTC.';
COMMENT ON COLUMN flexgate.key_usage.api_key IS 'The id of the key; never the key.';
COMMENT ON COLUMN flexgate.key_usage.name IS 'What people call it now; null if it is gone.';
COMMENT ON COLUMN flexgate.key_usage.requests IS 'How many requests came with it.';
COMMENT ON COLUMN flexgate.key_usage.errors IS 'How many were errors, as in availability.';
COMMENT ON COLUMN flexgate.key_usage.bytes_in IS 'Bytes of their bodies.';
COMMENT ON COLUMN flexgate.key_usage.bytes_out IS 'Bytes of the answers'' bodies.';

CREATE VIEW flexgate.status_distribution AS
SELECT (hour AT TIME ZONE 'UTC')::date AS day, route,
    CASE status_class WHEN 0 THEN 'none' ELSE status_class || 'xx' END AS status, sum(requests)::bigint AS requests
FROM flexgate.status_hourly
GROUP BY 1, 2, 3;
COMMENT ON VIEW flexgate.status_distribution IS 'How the requests of a day were answered.';
COMMENT ON COLUMN flexgate.status_distribution.day IS 'The day, in UTC.';
COMMENT ON COLUMN flexgate.status_distribution.route IS 'The id of the route; null: no route matched.';
COMMENT ON COLUMN flexgate.status_distribution.status IS '1xx to 5xx; none: the client went away before there was an answer.';
COMMENT ON COLUMN flexgate.status_distribution.requests IS 'How many there were.';

-- A range of time is a parameter and not a WHERE around a view, which would count all that is kept first.
CREATE FUNCTION flexgate.errors_by_revision(since timestamptz, until timestamptz)
RETURNS TABLE (generation bigint, revision bigint, changed_at timestamptz, actor text, message text, requests bigint,
    errors bigint, error_rate double precision, rate_before double precision)
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog
BEGIN ATOMIC
    WITH counted AS (
        SELECT generation, revision, count(*) AS requests,
            count(*) FILTER (WHERE status >= 500
                OR error IN ('upstream_gone', 'upstream_stalled', 'gateway_gone')) AS errors
        FROM flexgate.requests
        WHERE at >= since AND at < until
        GROUP BY generation, revision
    )
    SELECT c.generation, c.revision, l.at, l.actor, l.message, c.requests, c.errors,
        c.errors::double precision / c.requests,
        lag(c.errors::double precision / c.requests) OVER (ORDER BY c.generation, c.revision)
    FROM counted c
    LEFT JOIN flexgate.audit_log l
        ON l.stream = 'CONFIG' AND l.history = c.generation AND l.sequence = c.revision
    ORDER BY c.generation, c.revision;
END;
COMMENT ON FUNCTION flexgate.errors_by_revision IS 'What each revision of the configuration did to the errors: of the requests that arrived from since on and before until, how many were routed by which revision, who made it, and how many of them were errors, beside the revision before. Counts rows: where successes are sampled, rates are too high.';

CREATE VIEW flexgate.errors_by_revision AS
SELECT * FROM flexgate.errors_by_revision(now() - interval '24 hours', 'infinity');
COMMENT ON VIEW flexgate.errors_by_revision IS 'What each revision of the configuration did to the errors, in the last 24 hours. For another time there is the function of this name.';
COMMENT ON COLUMN flexgate.errors_by_revision.generation IS 'The history of the configuration.';
COMMENT ON COLUMN flexgate.errors_by_revision.revision IS 'The revision that the requests were routed by.';
COMMENT ON COLUMN flexgate.errors_by_revision.changed_at IS 'When it was made; null if the audit log does not have it.';
COMMENT ON COLUMN flexgate.errors_by_revision.actor IS 'Who made it.';
COMMENT ON COLUMN flexgate.errors_by_revision.message IS 'What it changed, in a sentence.';
COMMENT ON COLUMN flexgate.errors_by_revision.requests IS 'How many requests there were; those that have a row.';
COMMENT ON COLUMN flexgate.errors_by_revision.errors IS 'How many were errors, as in availability.';
COMMENT ON COLUMN flexgate.errors_by_revision.error_rate IS 'The share of errors, 0 to 1.';
COMMENT ON COLUMN flexgate.errors_by_revision.rate_before IS 'The share of errors by the revision before that has requests; null for the first.';

-- The bytes of commits have the hashes of keys, dead letters what nobody has looked into: neither is for who only asks.
CREATE FUNCTION flexgate.let_read(reader name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    readable record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA flexgate TO %I', reader);
    FOR readable IN
        SELECT oid::regclass AS name FROM pg_class
        WHERE relnamespace = 'flexgate'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
            AND relname NOT IN ('audit_commits', 'dead_letter')
    LOOP
        EXECUTE format('GRANT SELECT ON %s TO %I', readable.name, reader);
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION flexgate.let_read FROM PUBLIC;
COMMENT ON FUNCTION flexgate.let_read IS 'Lets a role read the tables and views of this schema, except for the bytes of commits and dead letters. Call it again after an upgrade: what came with that is not readable before.';

-- A role belongs to the whole server: another database may have made it, and who migrates may not be allowed to.
DO $$
BEGIN
    CREATE ROLE flexgate_reader NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'role flexgate_reader was not made, since this user may not make roles; SELECT flexgate.let_read(role) lets another one read';
END
$$;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'flexgate_reader') THEN
        PERFORM flexgate.let_read('flexgate_reader');
    END IF;
END
$$;
