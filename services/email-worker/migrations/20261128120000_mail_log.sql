-- What became of each mail: the log that people ask. It decides nothing: who sends what stands in the ledger. A day is a
-- partition, made ahead and dropped whole, so that forgetting costs nothing.
CREATE TABLE mail_log (
    -- The day of its first run. Runs after a failed one know that day by the task's own header.
    day       date        NOT NULL,
    id        uuid        NOT NULL,
    mail_type text        NOT NULL,
    -- HMAC-SHA-256 of the address under ADDRESS_HASH_KEY; none without a key.
    recipient bytea       CHECK (octet_length(recipient) = 32),
    domain    text        NOT NULL,
    -- sent, retried, unknown_type, dead, expired, suppressed: the disposition of metrics and spans.
    state     text        NOT NULL,
    -- Why it is dead: the word in x-dead-reason, and its sentence.
    reason    text,
    detail    text,
    attempts  integer     NOT NULL,
    -- When its task was made, where that is known.
    created   timestamptz,
    changed   timestamptz NOT NULL,
    -- When it is tried again.
    due       timestamptz,
    trace_id  bytea       CHECK (octet_length(trace_id) = 16),
    PRIMARY KEY (id, day)
) PARTITION BY RANGE (day);

CREATE INDEX mail_log_recipient ON mail_log (recipient) WHERE recipient IS NOT NULL;
CREATE INDEX mail_log_trace_id ON mail_log (trace_id) WHERE trace_id IS NOT NULL;

-- One row an attempt that was not a plain success.
CREATE TABLE mail_attempts (
    day      date        NOT NULL,
    id       uuid        NOT NULL,
    at       timestamptz NOT NULL,
    number   integer     NOT NULL,
    -- What followed from it, as in mail_log.
    state    text        NOT NULL,
    -- connect, mail, rcpt, data, content; none where no server was asked.
    stage    text,
    code     smallint,
    enhanced text,
    -- At most 512 bytes, without addresses.
    text     text        NOT NULL,
    took     interval    NOT NULL,
    worker   text        NOT NULL
) PARTITION BY RANGE (day);

CREATE INDEX mail_attempts_id ON mail_attempts (id);

-- Makes the partitions of the next days and drops those that are older than this. Answers the first and the last day that a
-- row may have. It runs with the rights of whoever migrates, so that a worker needs none to make tables.
CREATE FUNCTION mail_log_keep(keep interval) RETURNS TABLE (oldest date, newest date)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '200ms' AS $$
DECLARE
    today  date := (now() AT TIME ZONE 'UTC')::date;
    parent text;
    part   text;
    from_  date;
BEGIN
    -- Workers that start together make them once.
    PERFORM pg_advisory_xact_lock(5869836131562613479);
    FOREACH parent IN ARRAY ARRAY['mail_log', 'mail_attempts'] LOOP
        FOR ahead IN 0..2 LOOP
            from_ := today + ahead;
            part := parent || to_char(from_, '_YYYYMMDD');
            IF to_regclass(part) IS NULL THEN
                -- Attached, not made in place: that waits for no reader and no writer.
                EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, parent);
                EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    parent, part, from_, from_ + 1);
            END IF;
        END LOOP;
        FOR part IN
            SELECT class.relname FROM pg_inherits JOIN pg_class AS class ON class.oid = inhrelid
            WHERE inhparent = to_regclass(parent) AND to_date(right(class.relname, 8), 'YYYYMMDD') < today - keep
        LOOP
            BEGIN
                EXECUTE format('DROP TABLE %I', part);
            EXCEPTION WHEN lock_not_available THEN
                -- Somebody reads it, perhaps a backup: the next time.
                NULL;
            END;
        END LOOP;
    END LOOP;
    RETURN QUERY
        SELECT min(to_date(right(class.relname, 8), 'YYYYMMDD')), max(to_date(right(class.relname, 8), 'YYYYMMDD'))
        FROM pg_inherits JOIN pg_class AS class ON class.oid = inhrelid WHERE inhparent = to_regclass('mail_log');
END $$;
