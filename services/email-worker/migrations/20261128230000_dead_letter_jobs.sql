-- Redrives and discards of many dead letters, which operators ask for and the console does in the background: they outlive a browser,
-- and a console that is killed is followed by another.
CREATE TABLE dead_letter_jobs (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action     text        NOT NULL CHECK (action IN ('redrive', 'discard')),
    -- Which letters, by the names of the options of `dead list`. Of those that died before asked_at, whatever comes later.
    filter     jsonb       NOT NULL,
    -- How many there were when it was asked for.
    meant      bigint      NOT NULL,
    per_second integer     NOT NULL CHECK (per_second > 0),
    asked_by   text        NOT NULL,
    reason     text        NOT NULL,
    asked_at   timestamptz NOT NULL DEFAULT now(),
    state      text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'stopped')),
    -- Letters that left the queue.
    settled    bigint      NOT NULL DEFAULT 0,
    -- Who does it, and was last heard of then.
    runner     text,
    seen_at    timestamptz,
    -- What kept it from going on, the last time.
    trouble    text,
    ended_at   timestamptz,
    CHECK ((state IN ('done', 'stopped')) = (ended_at IS NOT NULL))
);

CREATE INDEX dead_letter_jobs_open ON dead_letter_jobs (id) WHERE ended_at IS NULL;
