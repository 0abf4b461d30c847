-- Why: alerts are on a stream for 400 days, where nobody can ask which nodes were lost last spring. Here each is a row, and
-- stays. What nodes say of their own life is among them, so that their history is a view. And a projection that has stopped
-- says so beside its checkpoint, since the process that is started next could not know.

CREATE TABLE flexgate.alerts (
    occurrence     text NOT NULL,
    at             timestamptz NOT NULL,
    stream_created timestamptz NOT NULL,
    sequence       bigint NOT NULL,
    id             text NOT NULL GENERATED ALWAYS AS ('ALERTS-' || sequence) STORED,
    type           text NOT NULL,
    severity       text,
    node           text NOT NULL,
    subject        text NOT NULL,
    data           jsonb NOT NULL,
    PRIMARY KEY (occurrence, at)
);
CREATE INDEX alerts_at ON flexgate.alerts (at, occurrence);
CREATE INDEX alerts_type_at ON flexgate.alerts (type, at);
CREATE INDEX alerts_node_at ON flexgate.alerts (node, at);
CREATE INDEX alerts_subject_at ON flexgate.alerts (subject, at);
COMMENT ON TABLE flexgate.alerts IS 'What a person or a webhook should hear of, one row each. Kept for ever, also what its stream has let go of.';
COMMENT ON COLUMN flexgate.alerts.occurrence IS 'What happened: the same wherever and however often it was told.';
COMMENT ON COLUMN flexgate.alerts.at IS 'When it was raised, by the clock of the node, to the millisecond.';
COMMENT ON COLUMN flexgate.alerts.stream_created IS 'When the stream was made that it was read from: sequences are only comparable within one.';
COMMENT ON COLUMN flexgate.alerts.sequence IS 'Its sequence in the stream.';
COMMENT ON COLUMN flexgate.alerts.id IS 'Stream and sequence: the same however often the table is made anew.';
COMMENT ON COLUMN flexgate.alerts.type IS 'What happened: node.lost, projection.stopped, and so on.';
COMMENT ON COLUMN flexgate.alerts.severity IS 'How much it matters: info, warning or critical; null of a type that the projector did not know.';
COMMENT ON COLUMN flexgate.alerts.node IS 'The id of the node that raised it.';
COMMENT ON COLUMN flexgate.alerts.subject IS 'What it is about: a node, a file or a projection; the node that raised it, where it says nothing else.';
COMMENT ON COLUMN flexgate.alerts.data IS 'All that it says; what there is depends on the type.';

CREATE VIEW flexgate.node_history AS
SELECT at, node, CASE
        WHEN event = 'joined' AND before NOT IN ('left', 'forgotten') THEN 'restarted'
        ELSE event
    END AS event, boot, version, revision, reason, at - before_at AS after
FROM (
    SELECT at, subject AS node, split_part(type, '.', 2) AS event, data->>'boot' AS boot, data->>'version' AS version,
        (data->>'revision')::bigint AS revision, data->>'reason' AS reason,
        lag(split_part(type, '.', 2)) OVER past AS before, lag(at) OVER past AS before_at
    FROM flexgate.alerts
    WHERE type IN ('node.joined', 'node.left', 'node.lost', 'node.back', 'node.forgotten', 'journal.frozen',
        'journal.thawed')
    WINDOW past AS (PARTITION BY subject ORDER BY at, stream_created, sequence)
) lived;
COMMENT ON VIEW flexgate.node_history IS 'The life of each node, as it is on the stream of alerts. A node that was killed says nothing: the others call it lost, or it is started again before they do.';
COMMENT ON COLUMN flexgate.node_history.at IS 'When, by the clock of the node that said it.';
COMMENT ON COLUMN flexgate.node_history.node IS 'The id of the node.';
COMMENT ON COLUMN flexgate.node_history.event IS 'joined; restarted: it joined without having left; left; lost: not heard of; back: heard of again; forgotten: taken out of the membership; frozen: it stopped following the log; thawed: it follows again.';
COMMENT ON COLUMN flexgate.node_history.boot IS 'Which start of it; null where that is not said.';
COMMENT ON COLUMN flexgate.node_history.version IS 'The version of the program; of joined and restarted.';
COMMENT ON COLUMN flexgate.node_history.revision IS 'The revision that it served; null where that is not said.';
COMMENT ON COLUMN flexgate.node_history.reason IS 'Why it froze.';
COMMENT ON COLUMN flexgate.node_history.after IS 'How long after what was before; null of the first.';

ALTER TABLE flexgate.projection_checkpoint
    ADD COLUMN stopped_at timestamptz,
    ADD COLUMN stopped_because text,
    ADD COLUMN stopped_behind bigint;
COMMENT ON COLUMN flexgate.projection_checkpoint.stopped_at IS 'Since when the projection stands still until somebody does something; null while it goes on.';
COMMENT ON COLUMN flexgate.projection_checkpoint.stopped_because IS 'Why it stands still.';
COMMENT ON COLUMN flexgate.projection_checkpoint.stopped_behind IS 'The sequence of the last event before the one that it stopped at; null if it is not about an event.';

-- Who reads the others reads these, too.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'flexgate_reader') THEN
        PERFORM flexgate.let_read('flexgate_reader');
    END IF;
END
$$;
