-- Why: people ask about the configuration in SQL ("which routes go to billing?"), and later join it with what became of
-- requests. These tables are a fold of CONFIG: nothing but the projector writes them, and dropping the schema loses
-- nothing, since it is made again from the log.

COMMENT ON SCHEMA flexgate IS 'Read models of FlexGate: folds of its log, made again from it at any time. Read only, for everybody but the projector.';

COMMENT ON TABLE flexgate.migrations IS 'Which migrations this schema has had; kept by sqlx.';
COMMENT ON COLUMN flexgate.migrations.version IS 'The number that the name of the migration begins with.';
COMMENT ON COLUMN flexgate.migrations.description IS 'The rest of its name.';
COMMENT ON COLUMN flexgate.migrations.installed_on IS 'When it was run, by the clock of the database.';
COMMENT ON COLUMN flexgate.migrations.success IS 'Whether it ran to its end.';
COMMENT ON COLUMN flexgate.migrations.checksum IS 'SHA-384 of its text, 48 bytes: a migration that was run is never edited.';
COMMENT ON COLUMN flexgate.migrations.execution_time IS 'How long it took, in nanoseconds; -1 if that was not recorded.';

CREATE TABLE flexgate.projection_checkpoint (
    projection text PRIMARY KEY,
    version    integer NOT NULL,
    cluster    text,
    generation bigint NOT NULL DEFAULT 0 CHECK (generation >= 0),
    sequence   bigint NOT NULL DEFAULT 0 CHECK (sequence >= 0),
    chain      text NOT NULL DEFAULT repeat('0', 64) CHECK (chain ~ '^[0-9a-f]{64}$'),
    epoch      bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE flexgate.projection_checkpoint IS 'Up to where each projection has been applied. Moves in the same transaction as the rows.';
COMMENT ON COLUMN flexgate.projection_checkpoint.projection IS 'The name of the projection; never changes.';
COMMENT ON COLUMN flexgate.projection_checkpoint.version IS 'The version of the fold that made the rows; another one makes them anew.';
COMMENT ON COLUMN flexgate.projection_checkpoint.cluster IS 'Whose log it is; null until a history was read.';
COMMENT ON COLUMN flexgate.projection_checkpoint.generation IS 'The history that was read; 0 before any. Sequences and revisions are only comparable within one.';
COMMENT ON COLUMN flexgate.projection_checkpoint.sequence IS 'The stream sequence of the last commit that was applied; 0 before the first.';
COMMENT ON COLUMN flexgate.projection_checkpoint.chain IS 'The running SHA-256 over the commits up to and with that one, 64 hexadecimal digits. Tells a history from one that was rewound.';
COMMENT ON COLUMN flexgate.projection_checkpoint.epoch IS 'Counts the projectors that took over; one of an earlier epoch can no longer commit.';
COMMENT ON COLUMN flexgate.projection_checkpoint.updated_at IS 'When it last moved, by the clock of the database.';

CREATE TABLE flexgate.routes (
    id         text PRIMARY KEY,
    name       text,
    enabled    boolean NOT NULL,
    priority   integer NOT NULL,
    host       text,
    path       text NOT NULL,
    methods    text[] NOT NULL,
    upstream   text NOT NULL,
    value      jsonb NOT NULL,
    revision   bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE flexgate.routes IS 'The routes as they are configured now, one row each.';
COMMENT ON COLUMN flexgate.routes.id IS 'Its identity; edits keep it.';
COMMENT ON COLUMN flexgate.routes.name IS 'What people call it; null if it has no name.';
COMMENT ON COLUMN flexgate.routes.enabled IS 'A disabled route matches nothing.';
COMMENT ON COLUMN flexgate.routes.priority IS 'The highest wins, before specificity; -1,000,000 to 1,000,000, 0 unless it was set.';
COMMENT ON COLUMN flexgate.routes.host IS 'The host it answers for, exact or with a leading *.; null: any.';
COMMENT ON COLUMN flexgate.routes.path IS 'The pattern of the paths it answers for.';
COMMENT ON COLUMN flexgate.routes.methods IS 'The methods it takes, upper case; empty: any.';
COMMENT ON COLUMN flexgate.routes.upstream IS 'Where requests go: the name of an upstream, or a URL.';
COMMENT ON COLUMN flexgate.routes.value IS 'All of it, as the admin API shows it; spans of time are milliseconds.';
COMMENT ON COLUMN flexgate.routes.revision IS 'The revision that last changed it.';
COMMENT ON COLUMN flexgate.routes.created_at IS 'When its creation was decided, by the clock of the writer, to the millisecond.';
COMMENT ON COLUMN flexgate.routes.updated_at IS 'When its last change was decided, by the clock of the writer, to the millisecond.';

CREATE TABLE flexgate.upstreams (
    name       text PRIMARY KEY,
    targets    text[] NOT NULL,
    value      jsonb NOT NULL,
    revision   bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE flexgate.upstreams IS 'The upstreams as they are configured now, one row each.';
COMMENT ON COLUMN flexgate.upstreams.name IS 'Its name, which is its identity.';
COMMENT ON COLUMN flexgate.upstreams.targets IS 'The URLs of its targets, at least one.';
COMMENT ON COLUMN flexgate.upstreams.value IS 'All of it, as the admin API shows it; spans of time are milliseconds. Secrets are references, never values.';
COMMENT ON COLUMN flexgate.upstreams.revision IS 'The revision that last changed it.';
COMMENT ON COLUMN flexgate.upstreams.created_at IS 'When its creation was decided, by the clock of the writer, to the millisecond.';
COMMENT ON COLUMN flexgate.upstreams.updated_at IS 'When its last change was decided, by the clock of the writer, to the millisecond.';

CREATE TABLE flexgate.settings (
    id         text PRIMARY KEY,
    value      jsonb NOT NULL,
    revision   bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE flexgate.settings IS 'The settings of the whole cluster as they are now; no row until they are set for the first time.';
COMMENT ON COLUMN flexgate.settings.id IS 'Which settings: global.';
COMMENT ON COLUMN flexgate.settings.value IS 'All of them, as the admin API shows them; spans of time are milliseconds.';
COMMENT ON COLUMN flexgate.settings.revision IS 'The revision that last changed them.';
COMMENT ON COLUMN flexgate.settings.created_at IS 'When they were first set, by the clock of the writer, to the millisecond.';
COMMENT ON COLUMN flexgate.settings.updated_at IS 'When their last change was decided, by the clock of the writer, to the millisecond.';
