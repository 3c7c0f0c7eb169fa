-- What was claimed and what was sent, one row a task. Times are the database's own.
--
-- fillfactor: every row is written twice within a second, by its claim and by its mark. With room left on the page the
-- second write needs no new index entries (no indexed column changes), and the room is won back page by page.
CREATE TABLE ledger (
    id         uuid        PRIMARY KEY,
    owner      uuid        NOT NULL,
    -- The claim ends here, if it is not renewed: beyond the longest possible send.
    until      timestamptz NOT NULL,
    -- Set once the mail server has accepted the mail.
    sent_at    timestamptz,
    -- How often the task was begun alone without a clean end.
    lone_runs  smallint    NOT NULL DEFAULT 0,
    first_seen timestamptz NOT NULL DEFAULT now()
) WITH (
    fillfactor = 60,
    -- Rows come and go by the million: a fifth of the table is too late to start cleaning.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05
);

-- For the purge, which takes the oldest first.
CREATE INDEX ledger_first_seen ON ledger (first_seen);

-- The next moment at which the fleet may send a mail: one row, always on one page.
CREATE TABLE mail_rate (
    only_row  boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    next_free timestamptz NOT NULL
) WITH (fillfactor = 10);
