-- What workers say of themselves, every few seconds: for people who look. It decides nothing.
CREATE TABLE worker_reports (
    worker        uuid        PRIMARY KEY,
    -- The pod's.
    name          text        NOT NULL,
    version       text        NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT now(),
    seen_at       timestamptz NOT NULL DEFAULT now(),
    -- closed, open, half-open; the cause where it is not closed.
    circuit       text        NOT NULL,
    cause         text,
    in_flight     integer     NOT NULL,
    -- The rate that the fleet keeps to, as this worker knows it; none: no limit.
    rate          text,
    -- What the mail server said where it takes less than the ceiling; without addresses.
    throttled     text,
    -- From the making of its task to the acceptance of the mail that was accepted last, in seconds.
    last_delay    float8,
    last_delay_at timestamptz
);

-- What the fleet did, by the minute; two days of it.
CREATE TABLE fleet_minutes (
    minute timestamptz NOT NULL,
    -- Added up: sent, retried, dead, .. (the disposition of metrics), refused. The last one of the minute: waiting, retrying, apart,
    -- dead-letters (messages in queues).
    kind   text        NOT NULL,
    -- Of dead and refused.
    reason text        NOT NULL DEFAULT '',
    count  bigint      NOT NULL,
    PRIMARY KEY (minute, kind, reason)
);
