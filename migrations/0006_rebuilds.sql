-- Why: a read model is a fold, so it can be made anew whenever somebody doubts it, or a later version folds differently.
-- That is done beside the tables that are read, and shows how far it is; and what the streams no longer have is carried
-- over instead of being lost, and marked, so that nobody takes it for what was read twice.

ALTER TABLE flexgate.rollup_closed ADD COLUMN first_created timestamptz, ADD COLUMN first_sequence bigint;
COMMENT ON COLUMN flexgate.rollup_closed.first_created IS 'When the stream OUTCOMES was created whose sequences the next column counts; null if all that is known of the hour came from ROLLUPS.';
COMMENT ON COLUMN flexgate.rollup_closed.first_sequence IS 'A sequence before which no message had to do with the hour: whoever reads the stream from there on has all of it.';
-- Where it is not known when an hour began, no stream is taken to have all of it.
UPDATE flexgate.rollup_closed SET first_created = 'epoch', first_sequence = 0;

CREATE TABLE flexgate.carried_over (
    projection text NOT NULL,
    relation   text NOT NULL,
    begins_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    carried_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, relation, begins_at)
);
COMMENT ON TABLE flexgate.carried_over IS 'What was carried over when a projection was made anew, since no stream has it any more: rows and counts as an earlier build has made them. Empty, if the streams have everything.';
COMMENT ON COLUMN flexgate.carried_over.projection IS 'The projection that was made anew.';
COMMENT ON COLUMN flexgate.carried_over.relation IS 'The table.';
COMMENT ON COLUMN flexgate.carried_over.begins_at IS 'From when on its rows were carried over, by the time that they are about; among them are some that were read again where the streams begin.';
COMMENT ON COLUMN flexgate.carried_over.ends_at IS 'Until when; not part of it.';
COMMENT ON COLUMN flexgate.carried_over.carried_at IS 'When that was done, by the clock of the database.';

CREATE TABLE flexgate.projection_status (
    projection  text PRIMARY KEY,
    node        text NOT NULL,
    waiting     bigint,
    lag_seconds double precision,
    per_second  double precision NOT NULL,
    reported_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE flexgate.projection_status IS 'How far the projectors are, as the one that keeps a projection says every other second. Nobody keeps one of which nothing was said for ten seconds.';
COMMENT ON COLUMN flexgate.projection_status.projection IS 'The projection.';
COMMENT ON COLUMN flexgate.projection_status.node IS 'The id of the node that keeps it.';
COMMENT ON COLUMN flexgate.projection_status.waiting IS 'How many messages of its stream it has yet to apply; of CONFIG, at most so many. Null if that is not known.';
COMMENT ON COLUMN flexgate.projection_status.lag_seconds IS 'How many seconds ago it had applied everything that was there; 0 if it has now. Null if that is not known.';
COMMENT ON COLUMN flexgate.projection_status.per_second IS 'How many messages it has applied a second, since it reported last.';
COMMENT ON COLUMN flexgate.projection_status.reported_at IS 'When it said so, by the clock of the database.';

CREATE TABLE flexgate.projection_rebuilds (
    projection  text PRIMARY KEY,
    id          text NOT NULL,
    verify      boolean NOT NULL,
    actor       text NOT NULL,
    node        text NOT NULL,
    phase       text NOT NULL CHECK (phase IN ('reading', 'comparing', 'swapping', 'done', 'failed')),
    done        bigint NOT NULL DEFAULT 0,
    total       bigint NOT NULL DEFAULT 0,
    per_second  double precision NOT NULL DEFAULT 0,
    reason      text,
    result      jsonb,
    started_at  timestamptz NOT NULL DEFAULT now(),
    reported_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE flexgate.projection_rebuilds IS 'The last time that each projection was made anew, or compared with what it would be.';
COMMENT ON COLUMN flexgate.projection_rebuilds.projection IS 'The projection.';
COMMENT ON COLUMN flexgate.projection_rebuilds.id IS 'Which time: an id of its own.';
COMMENT ON COLUMN flexgate.projection_rebuilds.verify IS 'Whether it was only compared, and changed nothing.';
COMMENT ON COLUMN flexgate.projection_rebuilds.actor IS 'Who asked for it.';
COMMENT ON COLUMN flexgate.projection_rebuilds.node IS 'The id of the node that does it.';
COMMENT ON COLUMN flexgate.projection_rebuilds.phase IS 'How far it is: reading the stream, comparing, swapping; done, or failed. One that has not reported for ten seconds is interrupted.';
COMMENT ON COLUMN flexgate.projection_rebuilds.done IS 'How much of the stream it has read, in sequences.';
COMMENT ON COLUMN flexgate.projection_rebuilds.total IS 'How much it has to read, in sequences.';
COMMENT ON COLUMN flexgate.projection_rebuilds.per_second IS 'How many sequences it has read a second since it began.';
COMMENT ON COLUMN flexgate.projection_rebuilds.reason IS 'Why it failed; null if it has not.';
COMMENT ON COLUMN flexgate.projection_rebuilds.result IS 'What a comparison came to: of each table how many rows there are and were made anew, with hashes of their content, and the keys of some that differ.';
COMMENT ON COLUMN flexgate.projection_rebuilds.started_at IS 'When it began, by the clock of the database.';
COMMENT ON COLUMN flexgate.projection_rebuilds.reported_at IS 'When it last said how far it is; of one that has ended, when that was.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'flexgate_reader') THEN
        PERFORM flexgate.let_read('flexgate_reader');
    END IF;
END
$$;
