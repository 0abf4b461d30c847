-- Why: "who changed that route, when, and what was it before?" is the question that a gateway is asked after every
-- incident. The log has the answer as whole new values; here each change has its value before and after, beside who made
-- it and why. And the keys, to be joined with what they were used for.

CREATE TABLE flexgate.api_keys (
    id         text PRIMARY KEY,
    name       text NOT NULL,
    enabled    boolean NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    value      jsonb NOT NULL,
    revision   bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE flexgate.api_keys IS 'The API keys as they are now, one row each. Hashes never leave the log.';
COMMENT ON COLUMN flexgate.api_keys.id IS 'Its identity, and no secret.';
COMMENT ON COLUMN flexgate.api_keys.name IS 'What people call it.';
COMMENT ON COLUMN flexgate.api_keys.enabled IS 'A disabled key opens nothing.';
COMMENT ON COLUMN flexgate.api_keys.expires_at IS 'From when on it opens nothing; null: never.';
COMMENT ON COLUMN flexgate.api_keys.revoked_at IS 'Since when it opens nothing, for good; null if it was not revoked.';
COMMENT ON COLUMN flexgate.api_keys.value IS 'All of it but secrets and their hashes, as the admin API shows it; spans of time are milliseconds.';
COMMENT ON COLUMN flexgate.api_keys.revision IS 'The revision that last changed it.';
COMMENT ON COLUMN flexgate.api_keys.created_at IS 'When its creation was decided, by the clock of the writer, to the millisecond.';
COMMENT ON COLUMN flexgate.api_keys.updated_at IS 'When its last change was decided, by the clock of the writer, to the millisecond.';

CREATE TABLE flexgate.audit_log (
    stream     text NOT NULL,
    history    bigint NOT NULL,
    sequence   bigint NOT NULL,
    id         text NOT NULL GENERATED ALWAYS AS (stream || '-' || sequence) STORED,
    at         timestamptz NOT NULL,
    level      text NOT NULL,
    message    text NOT NULL,
    actor_type text,
    actor      text,
    source     text NOT NULL,
    file       text,
    reason     text,
    revision   bigint,
    commit_id  text,
    PRIMARY KEY (stream, history, sequence)
);
CREATE INDEX audit_log_at ON flexgate.audit_log (at, stream, history, sequence);
CREATE INDEX audit_log_id ON flexgate.audit_log (id);
COMMENT ON TABLE flexgate.audit_log IS 'Everything that was done to the configuration, the newest last, one row a commit. What each commit changed is in audit_changes. Kept for ever, also when a new history begins.';
COMMENT ON COLUMN flexgate.audit_log.stream IS 'The stream that has it: CONFIG.';
COMMENT ON COLUMN flexgate.audit_log.history IS 'Which history of the stream: of CONFIG its generation. Sequences are only comparable within one.';
COMMENT ON COLUMN flexgate.audit_log.sequence IS 'Its sequence in the stream.';
COMMENT ON COLUMN flexgate.audit_log.id IS 'Stream and sequence: the same however often the table is made anew.';
COMMENT ON COLUMN flexgate.audit_log.at IS 'When it was decided, by the clock of the writer, to the millisecond.';
COMMENT ON COLUMN flexgate.audit_log.level IS 'How much it matters: info.';
COMMENT ON COLUMN flexgate.audit_log.message IS 'What happened, in a sentence.';
COMMENT ON COLUMN flexgate.audit_log.actor_type IS 'How they proved who they are: token, or system for what FlexGate does by itself.';
COMMENT ON COLUMN flexgate.audit_log.actor IS 'Who: the name of a token, or of a process.';
COMMENT ON COLUMN flexgate.audit_log.source IS 'Through what it came: api, file or system.';
COMMENT ON COLUMN flexgate.audit_log.file IS 'The configuration file that it came from; null for other sources.';
COMMENT ON COLUMN flexgate.audit_log.reason IS 'Why, as they said; null if they did not.';
COMMENT ON COLUMN flexgate.audit_log.revision IS 'The revision that it made; null if it made none.';
COMMENT ON COLUMN flexgate.audit_log.commit_id IS 'The id of the commit, chosen by the writer.';

CREATE TABLE flexgate.audit_changes (
    history  bigint NOT NULL,
    revision bigint NOT NULL,
    ordinal  integer NOT NULL,
    kind     text NOT NULL,
    entity   text NOT NULL,
    action   text NOT NULL,
    before   jsonb,
    after    jsonb,
    PRIMARY KEY (history, revision, ordinal)
);
CREATE INDEX audit_changes_entity ON flexgate.audit_changes (kind, entity, history, revision);
COMMENT ON TABLE flexgate.audit_changes IS 'What each commit changed, one row a change.';
COMMENT ON COLUMN flexgate.audit_changes.history IS 'The generation of CONFIG.';
COMMENT ON COLUMN flexgate.audit_changes.revision IS 'The revision of the commit.';
COMMENT ON COLUMN flexgate.audit_changes.ordinal IS 'Its place in the commit, from 0; what is only about the log has one too, and no row.';
COMMENT ON COLUMN flexgate.audit_changes.kind IS 'What was changed: route, upstream, settings or key.';
COMMENT ON COLUMN flexgate.audit_changes.entity IS 'Which: its id or name; global for the settings.';
COMMENT ON COLUMN flexgate.audit_changes.action IS 'What became of it: created, updated or deleted.';
COMMENT ON COLUMN flexgate.audit_changes.before IS 'All of it before, as the admin API shows it; null if it was not there.';
COMMENT ON COLUMN flexgate.audit_changes.after IS 'All of it afterwards, as the admin API shows it; null if it is gone.';

CREATE TABLE flexgate.audit_commits (
    history  bigint NOT NULL,
    revision bigint NOT NULL,
    payload  bytea NOT NULL,
    PRIMARY KEY (history, revision)
);
COMMENT ON TABLE flexgate.audit_commits IS 'The commits as they lie in the log, byte for byte: what a log that lost its end is mended with. They have the hashes of keys, so that only the projector reads them.';
COMMENT ON COLUMN flexgate.audit_commits.history IS 'The generation of CONFIG.';
COMMENT ON COLUMN flexgate.audit_commits.revision IS 'The revision of the commit.';
COMMENT ON COLUMN flexgate.audit_commits.payload IS 'The message on CONFIG.';
