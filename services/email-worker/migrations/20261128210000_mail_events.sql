-- Events that are committed and not yet with the broker: written by the statement that marks their mail, relayed by any worker, deleted
-- once the broker has confirmed them. Empty where MAIL_EVENTS is off.
CREATE TABLE mail_events (
    -- UUIDv7 of the moment: events are relayed in this order, as far as there is one.
    id          uuid        PRIMARY KEY,
    -- What consumers know it by: the same for the same thing told twice.
    event_id    uuid        NOT NULL,
    mail_id     uuid        NOT NULL,
    -- mail.sent, mail.deferred, mail.dead, mail.expired, mail.suppressed: also the routing key.
    event_type  text        NOT NULL,
    -- JSON, without any personal data.
    body        bytea       NOT NULL,
    -- The trace of the run that it tells of.
    traceparent text,
    tracestate  text,
    created_at  timestamptz NOT NULL
) WITH (
    -- Every row is deleted within a second: what is dead must go soon, or the claim wades through it.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);
