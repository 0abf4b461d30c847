-- Why: what became of every request is on the stream OUTCOMES, in frames that nobody can query. Here each outcome is a row
-- for some days, and a count for years: by hour, day and week, with sketches of how long it took, so that "how slow was
-- billing last month, at the 99th percentile?" is one SELECT over a few hundred rows.

-- A sketch is one number, so that merging is one addition, in C: thirty times as fast as adding up arrays in SQL. Text
-- shows its digits in place, which is how the functions below find their way in it.
CREATE DOMAIN flexgate.sketch AS numeric
    CHECK (VALUE >= 0 AND VALUE < '1e65568' AND scale(VALUE) = 0);
COMMENT ON TYPE flexgate.sketch IS 'How long things took: a histogram with 64 buckets a doubling, as a number in base 10^16. Digit 0 counts zeros; digit i counts the values above 2^((i-2)/64) and up to 2^((i-1)/64) microseconds, i up to 4097. A sum of sketches is the sketch of all; no bucket of it may come to 10^16.';

CREATE AGGREGATE flexgate.merge(flexgate.sketch) (
    sfunc = pg_catalog.numeric_add, stype = numeric, combinefunc = pg_catalog.numeric_add, parallel = safe
);
COMMENT ON AGGREGATE flexgate.merge(flexgate.sketch) IS 'The sketch of everything that is in any of them, whatever their order; null of none.';

CREATE FUNCTION flexgate.sketch_count(sketch flexgate.sketch) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
-- The sum of a number's digits is what remains when it is divided by the base less one.
RETURN sketch % 9999999999999999;
COMMENT ON FUNCTION flexgate.sketch_count IS 'How many values a sketch has counted.';

CREATE FUNCTION flexgate.percentile(sketch flexgate.sketch, q double precision) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
    -- Zeros at the low end would be most of the digits. Sent as bytes, a number has none: it says how many digits in base
    -- 10^4 it has, and which power of that the first stands for.
    sent  CONSTANT bytea   := numeric_send(sketch);
    low   CONSTANT integer := (256 * get_byte(sent, 2) + get_byte(sent, 3) + 1
                                - 256 * get_byte(sent, 0) - get_byte(sent, 1)) / 4;
    short CONSTANT numeric := div(sketch, ('1e' || 16 * low)::numeric);
    -- Bytes, since text in UTF-8 is walked through from its beginning.
    digits CONSTANT bytea  := decode(short::text, 'escape');
    total CONSTANT bigint  := short % 9999999999999999;
    -- By nearest rank, counted from above, where digits begin and percentiles are asked for.
    above bigint  := total - greatest(ceil(least(greatest(q, 0), 1) * total::double precision)::bigint, 1);
    digit integer := (length(digits) + 15) / 16 - 1;
    place integer := length(digits) - 16 * digit - 15;
    empty CONSTANT bytea := decode(repeat('0', 1024), 'escape');
BEGIN
    IF total = 0 THEN
        RETURN NULL;
    END IF;
    LOOP
        IF substring(digits, place, 1024) = empty THEN
            place := place + 1024;
            digit := digit - 64;
        ELSE
            above := above - encode(substring(digits, place, 16), 'escape')::bigint;
            EXIT WHEN above < 0;
            place := place + 16;
            digit := digit - 1;
        END IF;
    END LOOP;
    digit := digit + low;
    -- The harmonic mean of the bucket's bounds is at most 0.54 % from everything between them.
    RETURN CASE WHEN digit = 0 THEN 0 ELSE 2 / (2 ^ ((2 - digit) / 64::double precision) + 2 ^ ((1 - digit) / 64::double precision)) END;
END
$$;
COMMENT ON FUNCTION flexgate.percentile IS 'The microseconds below or at which a share q (0 to 1) of all values lie, by nearest rank, within 0.54 %; null of an empty sketch.';

CREATE FUNCTION flexgate.buckets(sketch flexgate.sketch)
RETURNS TABLE (lower_us double precision, upper_us double precision, requests bigint)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog
BEGIN ATOMIC
    -- Once, and not for every digit again.
    WITH written AS MATERIALIZED (SELECT decode(sketch::text, 'escape') AS digits)
    SELECT CASE digit WHEN 0 THEN 0 ELSE 2 ^ ((digit - 2) / 64::double precision) END,
           CASE digit WHEN 0 THEN 0 ELSE 2 ^ ((digit - 1) / 64::double precision) END,
           held.requests
    FROM written,
         generate_series(0, (length(digits) - 1) / 16) digit,
         LATERAL (SELECT encode(substring(digits, greatest(length(digits) - 16 * digit - 15, 1),
                                          least(16, length(digits) - 16 * digit)), 'escape')::bigint AS requests) held
    WHERE held.requests > 0
    ORDER BY digit;
END;
COMMENT ON FUNCTION flexgate.buckets IS 'What is in a sketch, for people: how many values were above lower_us and up to upper_us, in microseconds, ascending. 0 and 0: how many were zero.';

CREATE TABLE flexgate.requests (
    id             uuid NOT NULL,
    at             timestamptz NOT NULL,
    generation     bigint NOT NULL,
    revision       bigint NOT NULL,
    duration_us    bigint NOT NULL,
    upstream_us    bigint,
    bytes_in       bigint NOT NULL,
    bytes_out      bigint NOT NULL,
    status         smallint,
    attempts       smallint NOT NULL,
    node           text NOT NULL,
    route          text,
    upstream       text,
    target         text,
    method         text NOT NULL,
    host           text,
    path           text NOT NULL,
    query          text,
    refused        text,
    error          text,
    api_key        text,
    client         text,
    user_agent     text,
    correlation_id text,
    trace_id       text,
    matched        jsonb
) PARTITION BY RANGE (at);
-- None on id: an index in random order halves the speed at which rows come in. Look for an id within a range of time.
CREATE INDEX requests_at ON flexgate.requests USING brin (at) WITH (autosummarize = on);
CREATE INDEX requests_route_at ON flexgate.requests (route, at);
COMMENT ON TABLE flexgate.requests IS 'What became of each request, one row each; of a sample, where the settings say so. Partitioned by time, and kept for days: the counts are kept for longer.';
COMMENT ON COLUMN flexgate.requests.id IS 'Its id, which is also its X-Correlation-ID and its trace id where the client gave none.';
COMMENT ON COLUMN flexgate.requests.at IS 'When it arrived, by the clock of the node, to the microsecond.';
COMMENT ON COLUMN flexgate.requests.generation IS 'The history of the configuration that it was routed by; 0 before there was one.';
COMMENT ON COLUMN flexgate.requests.revision IS 'The revision of the configuration that it was routed by.';
COMMENT ON COLUMN flexgate.requests.duration_us IS 'From its arrival to the last byte of the answer, in microseconds.';
COMMENT ON COLUMN flexgate.requests.upstream_us IS 'How much of that passed until the upstream''s answer began, in microseconds; null if none did.';
COMMENT ON COLUMN flexgate.requests.bytes_in IS 'Bytes of its body.';
COMMENT ON COLUMN flexgate.requests.bytes_out IS 'Bytes of the answer''s body.';
COMMENT ON COLUMN flexgate.requests.status IS 'The HTTP status that the client was answered; null if it went away first.';
COMMENT ON COLUMN flexgate.requests.attempts IS 'How often it was sent to an upstream.';
COMMENT ON COLUMN flexgate.requests.node IS 'The id of the node that took it.';
COMMENT ON COLUMN flexgate.requests.route IS 'The id of the route that took it; null if none matched.';
COMMENT ON COLUMN flexgate.requests.upstream IS 'The upstream that was to answer: its name, or the URL that the route gives; null if it came to none.';
COMMENT ON COLUMN flexgate.requests.target IS 'The target that it went to last, host:port; null if it went to none.';
COMMENT ON COLUMN flexgate.requests.method IS 'The method, as sent.';
COMMENT ON COLUMN flexgate.requests.host IS 'The host that was asked for, as sent.';
COMMENT ON COLUMN flexgate.requests.path IS 'The path, as sent; or the pattern of the route, where the settings keep paths out of the log.';
COMMENT ON COLUMN flexgate.requests.query IS 'The query, without its ?; null unless the settings ask for it.';
COMMENT ON COLUMN flexgate.requests.refused IS 'The code of the refusal, if the gateway itself answered.';
COMMENT ON COLUMN flexgate.requests.error IS 'What went wrong after the answer had begun: client_gone, upstream_gone, or gateway_gone: it was cut off when the node went away.';
COMMENT ON COLUMN flexgate.requests.api_key IS 'The id of the API key it came with; never the key.';
COMMENT ON COLUMN flexgate.requests.client IS 'The address of the client, as much of it as the settings let be known.';
COMMENT ON COLUMN flexgate.requests.user_agent IS 'Its User-Agent.';
COMMENT ON COLUMN flexgate.requests.correlation_id IS 'Its X-Correlation-ID; null if the client gave none: then it is the id.';
COMMENT ON COLUMN flexgate.requests.trace_id IS 'The id of its trace, 32 hexadecimal digits; null if the client gave none: then it is the id.';
COMMENT ON COLUMN flexgate.requests.matched IS 'The values of the headers and query parameters that some route matches on: {"header": {}, "query": {}}.';

-- The rows of the hour, the day and the week that run are updated every second. Half of each page is left empty for their
-- next version, which then needs no entry in the index; what is dead is collected after a few minutes, not when a fifth
-- of two years' rows are.
CREATE TABLE flexgate.rollup_hourly (
    hour             timestamptz NOT NULL,
    route            text,
    requests         bigint NOT NULL,
    errors           bigint NOT NULL,
    bytes_in         bigint NOT NULL,
    bytes_out        bigint NOT NULL,
    latency          flexgate.sketch NOT NULL,
    upstream_latency flexgate.sketch NOT NULL,
    UNIQUE NULLS NOT DISTINCT (hour, route)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
COMMENT ON TABLE flexgate.rollup_hourly IS 'What became of the requests of an hour, by route. Counts every request, also where only a sample has rows.';
COMMENT ON COLUMN flexgate.rollup_hourly.hour IS 'When the hour began; a request counts in the one in which it arrived, by the clock of its node.';
COMMENT ON COLUMN flexgate.rollup_hourly.route IS 'The id of the route that took them; null: no route matched.';
COMMENT ON COLUMN flexgate.rollup_hourly.requests IS 'How many there were.';
COMMENT ON COLUMN flexgate.rollup_hourly.errors IS 'How many were answered with a status from 500 on, or not to the end because the upstream broke off.';
COMMENT ON COLUMN flexgate.rollup_hourly.bytes_in IS 'Bytes of their bodies.';
COMMENT ON COLUMN flexgate.rollup_hourly.bytes_out IS 'Bytes of the answers'' bodies.';
COMMENT ON COLUMN flexgate.rollup_hourly.latency IS 'From arrival to the last byte of the answer, in microseconds.';
COMMENT ON COLUMN flexgate.rollup_hourly.upstream_latency IS 'How much of that passed until the upstream''s answer began, in microseconds; of those that have it.';

CREATE TABLE flexgate.rollup_daily (
    day              date NOT NULL,
    route            text,
    requests         bigint NOT NULL,
    errors           bigint NOT NULL,
    bytes_in         bigint NOT NULL,
    bytes_out        bigint NOT NULL,
    latency          flexgate.sketch NOT NULL,
    upstream_latency flexgate.sketch NOT NULL,
    UNIQUE NULLS NOT DISTINCT (day, route)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
COMMENT ON TABLE flexgate.rollup_daily IS 'What became of the requests of a day, by route.';
COMMENT ON COLUMN flexgate.rollup_daily.day IS 'The day, in UTC.';
COMMENT ON COLUMN flexgate.rollup_daily.route IS 'The id of the route that took them; null: no route matched.';
COMMENT ON COLUMN flexgate.rollup_daily.requests IS 'How many there were.';
COMMENT ON COLUMN flexgate.rollup_daily.errors IS 'How many were answered with a status from 500 on, or not to the end because the upstream broke off.';
COMMENT ON COLUMN flexgate.rollup_daily.bytes_in IS 'Bytes of their bodies.';
COMMENT ON COLUMN flexgate.rollup_daily.bytes_out IS 'Bytes of the answers'' bodies.';
COMMENT ON COLUMN flexgate.rollup_daily.latency IS 'From arrival to the last byte of the answer, in microseconds.';
COMMENT ON COLUMN flexgate.rollup_daily.upstream_latency IS 'How much of that passed until the upstream''s answer began, in microseconds; of those that have it.';

CREATE TABLE flexgate.rollup_weekly (
    week             date NOT NULL,
    route            text,
    requests         bigint NOT NULL,
    errors           bigint NOT NULL,
    bytes_in         bigint NOT NULL,
    bytes_out        bigint NOT NULL,
    latency          flexgate.sketch NOT NULL,
    upstream_latency flexgate.sketch NOT NULL,
    UNIQUE NULLS NOT DISTINCT (week, route)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
COMMENT ON TABLE flexgate.rollup_weekly IS 'What became of the requests of a week, by route. Kept for ever.';
COMMENT ON COLUMN flexgate.rollup_weekly.week IS 'Its Monday, in UTC.';
COMMENT ON COLUMN flexgate.rollup_weekly.route IS 'The id of the route that took them; null: no route matched.';
COMMENT ON COLUMN flexgate.rollup_weekly.requests IS 'How many there were.';
COMMENT ON COLUMN flexgate.rollup_weekly.errors IS 'How many were answered with a status from 500 on, or not to the end because the upstream broke off.';
COMMENT ON COLUMN flexgate.rollup_weekly.bytes_in IS 'Bytes of their bodies.';
COMMENT ON COLUMN flexgate.rollup_weekly.bytes_out IS 'Bytes of the answers'' bodies.';
COMMENT ON COLUMN flexgate.rollup_weekly.latency IS 'From arrival to the last byte of the answer, in microseconds.';
COMMENT ON COLUMN flexgate.rollup_weekly.upstream_latency IS 'How much of that passed until the upstream''s answer began, in microseconds; of those that have it.';

CREATE TABLE flexgate.status_hourly (
    hour         timestamptz NOT NULL,
    route        text,
    upstream     text,
    status_class smallint NOT NULL,
    refused      text,
    requests     bigint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (hour, route, upstream, status_class, refused)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
COMMENT ON TABLE flexgate.status_hourly IS 'How the requests of an hour were answered, by route and upstream.';
COMMENT ON COLUMN flexgate.status_hourly.hour IS 'When the hour began; a request counts in the one in which it arrived, by the clock of its node.';
COMMENT ON COLUMN flexgate.status_hourly.route IS 'The id of the route that took them; null: no route matched.';
COMMENT ON COLUMN flexgate.status_hourly.upstream IS 'The upstream that was to answer: its name, or the URL that the route gives; null: it came to none.';
COMMENT ON COLUMN flexgate.status_hourly.status_class IS 'The first digit of the HTTP status; 0: the client went away before there was one.';
COMMENT ON COLUMN flexgate.status_hourly.refused IS 'The code of the refusal; null: the gateway forwarded them.';
COMMENT ON COLUMN flexgate.status_hourly.requests IS 'How many there were.';

CREATE TABLE flexgate.usage_hourly (
    hour      timestamptz NOT NULL,
    api_key   text NOT NULL,
    requests  bigint NOT NULL,
    errors    bigint NOT NULL,
    bytes_in  bigint NOT NULL,
    bytes_out bigint NOT NULL,
    PRIMARY KEY (hour, api_key)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
COMMENT ON TABLE flexgate.usage_hourly IS 'What each API key was used for in an hour. Requests without a key are not in here.';
COMMENT ON COLUMN flexgate.usage_hourly.hour IS 'When the hour began; a request counts in the one in which it arrived, by the clock of its node.';
COMMENT ON COLUMN flexgate.usage_hourly.api_key IS 'The id of the key; never the key.';
COMMENT ON COLUMN flexgate.usage_hourly.requests IS 'How many requests came with it.';
COMMENT ON COLUMN flexgate.usage_hourly.errors IS 'How many were answered with a status from 500 on, or not to the end because the upstream broke off.';
COMMENT ON COLUMN flexgate.usage_hourly.bytes_in IS 'Bytes of their bodies.';
COMMENT ON COLUMN flexgate.usage_hourly.bytes_out IS 'Bytes of the answers'' bodies.';

CREATE TABLE flexgate.outcome_sources (
    node     text NOT NULL,
    boot     text NOT NULL,
    core     integer NOT NULL,
    mark     bigint NOT NULL,
    holes    int8multirange NOT NULL DEFAULT '{}',
    outcomes bigint NOT NULL,
    rows     bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at  timestamptz NOT NULL,
    PRIMARY KEY (node, boot, core)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
COMMENT ON TABLE flexgate.outcome_sources IS 'Which outcomes were counted, by who numbered them: a frame that comes twice counts once, and what never came can be seen.';
COMMENT ON COLUMN flexgate.outcome_sources.node IS 'The id of the node.';
COMMENT ON COLUMN flexgate.outcome_sources.boot IS 'Which start of it.';
COMMENT ON COLUMN flexgate.outcome_sources.core IS 'Which core of it, from 0.';
COMMENT ON COLUMN flexgate.outcome_sources.mark IS 'The counter after the highest that was seen; counters begin with 0.';
COMMENT ON COLUMN flexgate.outcome_sources.holes IS 'The counters below the mark that have not been seen.';
COMMENT ON COLUMN flexgate.outcome_sources.outcomes IS 'How many outcomes were counted.';
COMMENT ON COLUMN flexgate.outcome_sources.rows IS 'How many of them got a row in requests; the others were left out of a sample.';
COMMENT ON COLUMN flexgate.outcome_sources.first_at IS 'The earliest arrival among them, by the clock of the node.';
COMMENT ON COLUMN flexgate.outcome_sources.last_at IS 'The latest arrival among them, by the clock of the node.';

CREATE TABLE flexgate.dead_letter (
    projection     text NOT NULL,
    stream_created timestamptz NOT NULL,
    sequence       bigint NOT NULL,
    stored_at      timestamptz NOT NULL,
    error          text NOT NULL,
    headers        jsonb NOT NULL,
    payload        bytea NOT NULL,
    noticed_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, stream_created, sequence)
);
COMMENT ON TABLE flexgate.dead_letter IS 'Messages that a projection could not apply and went past, whole, so that a later version can. Empty, if all is well.';
COMMENT ON COLUMN flexgate.dead_letter.projection IS 'The projection that could not.';
COMMENT ON COLUMN flexgate.dead_letter.stream_created IS 'When the stream was created: its sequences begin again when it is made anew.';
COMMENT ON COLUMN flexgate.dead_letter.sequence IS 'The sequence of the message in it.';
COMMENT ON COLUMN flexgate.dead_letter.stored_at IS 'When NATS stored the message.';
COMMENT ON COLUMN flexgate.dead_letter.error IS 'Why it could not be applied.';
COMMENT ON COLUMN flexgate.dead_letter.headers IS 'Its headers: an array of names and values, in order.';
COMMENT ON COLUMN flexgate.dead_letter.payload IS 'Its payload, as it was.';
COMMENT ON COLUMN flexgate.dead_letter.noticed_at IS 'When it was put here, by the clock of the database.';

CREATE TABLE flexgate.rollup_closed (
    hour    timestamptz PRIMARY KEY,
    version integer NOT NULL,
    through bigint,
    stale   boolean NOT NULL DEFAULT false,
    restored_created timestamptz,
    restored_through bigint
) WITH (fillfactor = 50);
COMMENT ON TABLE flexgate.rollup_closed IS 'The hours, and what of them was published on the stream ROLLUPS, from which their counts can be had when the frames are gone.';
COMMENT ON COLUMN flexgate.rollup_closed.hour IS 'When the hour began.';
COMMENT ON COLUMN flexgate.rollup_closed.version IS 'How often it was published, 0 if it was not yet; a later one replaces those before.';
COMMENT ON COLUMN flexgate.rollup_closed.through IS 'The sequence on OUTCOMES up to which outcomes are in what was published; null while it has yet to be.';
COMMENT ON COLUMN flexgate.rollup_closed.stale IS 'Whether outcomes of the hour came in since, so that it is to be published once more when it is over.';
COMMENT ON COLUMN flexgate.rollup_closed.restored_created IS 'When the stream OUTCOMES was created whose sequences the next column counts; null if the hour was not brought back from ROLLUPS.';
COMMENT ON COLUMN flexgate.rollup_closed.restored_through IS 'The sequence up to which the counts that were brought back are complete: frames up to it have only brought rows since.';

ALTER TABLE flexgate.projection_checkpoint ADD COLUMN stream_created timestamptz;
COMMENT ON COLUMN flexgate.projection_checkpoint.stream_created IS 'When the stream that is read was created: one that was made anew begins its sequences again. Null for CONFIG, whose chain says more.';
