-- Tasks that were committed together with their user and are not yet safely in the queue. Deleted once they are.
CREATE TABLE outbox (
    -- UUIDv7, also the message id: the order of the index is the order of registration.
    id          uuid        PRIMARY KEY,
    task_type   text        NOT NULL,
    body        bytea       NOT NULL,
    -- The request's trace, for the publishing that happens later and perhaps in another process.
    traceparent text,
    tracestate  text,
    created_at  timestamptz NOT NULL DEFAULT now()
) WITH (
    -- Every row is deleted within a second: what is dead must go soon, or the claim wades through it.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);
