-- Why: after an incident the question is not only who changed something, but from where, with what, and by which request:
-- the token may be shared, and the correlation id leads to the logs and traces of whoever asked.

ALTER TABLE flexgate.audit_log
    ADD COLUMN correlation text,
    ADD COLUMN trace text,
    ADD COLUMN address inet,
    ADD COLUMN agent text;
CREATE INDEX audit_log_correlation ON flexgate.audit_log (correlation);
COMMENT ON COLUMN flexgate.audit_log.correlation IS 'The correlation id of the request that asked for it, sent with it or made for it; null for what FlexGate does by itself, and for what was done before this was kept.';
COMMENT ON COLUMN flexgate.audit_log.trace IS 'The id of the trace that the request belongs to, 32 hexadecimal digits; null if it said none.';
COMMENT ON COLUMN flexgate.audit_log.address IS 'From where it came, as far as trusted proxies can tell; null like correlation.';
COMMENT ON COLUMN flexgate.audit_log.agent IS 'The program that sent it, as it calls itself: nobody checks that. The command line is flexgate-cli/<version>.';
