-- Why: after an incident the question is not only who changed something, but from where, with what, and by which request: a
-- token may be shared, and the correlation id leads to the logs and traces of whoever asked. And who tried in vain is told
-- beside who did it, since that is how it begins.

ALTER TABLE flexgate.audit_log
    ADD COLUMN correlation text,
    ADD COLUMN trace text,
    ADD COLUMN address inet,
    ADD COLUMN agent text,
    ADD COLUMN method text,
    ADD COLUMN path text,
    ADD COLUMN status integer,
    ADD COLUMN code text,
    ADD COLUMN times bigint;
CREATE INDEX audit_log_correlation ON flexgate.audit_log (correlation);
CREATE INDEX audit_log_commit ON flexgate.audit_log (commit_id);
COMMENT ON TABLE flexgate.audit_log IS 'Everything that was done to the configuration, one row a commit, and everything that was asked and not done, one row an event. What each commit changed is in audit_changes. Kept for ever, also when a stream begins anew.';
COMMENT ON COLUMN flexgate.audit_log.stream IS 'The stream that has it: CONFIG what was done, ADMIN what was not.';
COMMENT ON COLUMN flexgate.audit_log.history IS 'Which history of the stream: of CONFIG its generation, of ADMIN the microsecond since 1970 in which it was created. Sequences are only comparable within one.';
COMMENT ON COLUMN flexgate.audit_log.level IS 'How much it matters: info, or warn for what was denied and for files that were rejected.';
COMMENT ON COLUMN flexgate.audit_log.actor IS 'Who: the name of a token, or of a process; null if they did not prove who they are.';
COMMENT ON COLUMN flexgate.audit_log.commit_id IS 'The id of the commit, chosen by the writer; of ADMIN that of the event.';
COMMENT ON COLUMN flexgate.audit_log.correlation IS 'The correlation id of the request that asked for it, sent with it or made for it; null for what FlexGate does by itself, and for what was done before this was kept.';
COMMENT ON COLUMN flexgate.audit_log.trace IS 'The id of the trace that the request belongs to, 32 hexadecimal digits; null if it said none.';
COMMENT ON COLUMN flexgate.audit_log.address IS 'From where it came, as far as trusted proxies can tell; null like correlation.';
COMMENT ON COLUMN flexgate.audit_log.agent IS 'The program that sent it, as it calls itself: nobody checks that. The command line is flexgate-cli/<version>.';
COMMENT ON COLUMN flexgate.audit_log.method IS 'The method of the request that was refused; null for commits and for files.';
COMMENT ON COLUMN flexgate.audit_log.path IS 'Its path, without the query: the first 256 characters.';
COMMENT ON COLUMN flexgate.audit_log.status IS 'The status that it was answered with.';
COMMENT ON COLUMN flexgate.audit_log.code IS 'Why it was not done, in one word for programs; null for commits.';
COMMENT ON COLUMN flexgate.audit_log.times IS 'How many requests the row stands for: of those from one address that did not prove who sent them, the first ten of a minute have a row each, and the others one together.';
