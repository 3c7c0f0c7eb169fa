-- Operators have the circuits of all workers closed: they know sooner than a probe that the mail server is well again. Each worker looks
-- once a second, and closes its own when there is a number that it has not seen.
CREATE TABLE circuit_closings (
    lone     boolean     PRIMARY KEY DEFAULT true CHECK (lone),
    number   bigint      NOT NULL,
    asked_by text        NOT NULL,
    reason   text        NOT NULL,
    at       timestamptz NOT NULL DEFAULT now()
);
