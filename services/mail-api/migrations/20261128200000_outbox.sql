-- Sluice: the outbox, version 1, as `mail-api schema` prints it, for the migrations of your application.
--
-- Run all of it in one transaction, as most migration tools do (psql: -1 -v ON_ERROR_STOP=1 -f FILE). To run it again changes
-- nothing. PostgreSQL 13 or newer. Whoever runs it owns what it makes, and needs the right to make schemas in this database.
-- A version only adds to the one before: the relays and the programs that you have go on.

CREATE SCHEMA IF NOT EXISTS "sluice";

CREATE TABLE IF NOT EXISTS "sluice".outbox (
    id          uuid        CONSTRAINT outbox_pkey PRIMARY KEY
                            DEFAULT (
        overlay(lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 4096000)::bigint), 15, '0') PLACING '7' FROM 13 FOR 0)
        || right(replace(gen_random_uuid()::text, '-', ''), 16)
    )::uuid,
    task_type   text        NOT NULL,
    body        bytea       NOT NULL,
    traceparent text,
    tracestate  text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    priority    text        NOT NULL DEFAULT 'normal',
    CONSTRAINT outbox_task_type_fits CHECK (octet_length(task_type) BETWEEN 1 AND 255),
    CONSTRAINT outbox_body_fits CHECK (octet_length(body) <= 65536),
    CONSTRAINT outbox_expires_at_is_finite CHECK (isfinite(expires_at)),
    CONSTRAINT outbox_priority_is_known CHECK (priority IN ('normal', 'high'))
) WITH (
    -- Rows live for a second or so: what is dead must go soon.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

COMMENT ON TABLE "sluice".outbox IS 'Mails that wait for their relay, which deletes each row once the queue has it.';
COMMENT ON COLUMN "sluice".outbox.id IS 'The id of the mail: the same id again is the same mail. UUIDv7, best left to the default.';
COMMENT ON COLUMN "sluice".outbox.task_type IS 'The type of the mail, such as email.welcome.';
COMMENT ON COLUMN "sluice".outbox.body IS 'JSON in UTF-8: email, and name, locale, data where there are any.';
COMMENT ON COLUMN "sluice".outbox.traceparent IS 'W3C trace context of the request that the mail comes from.';
COMMENT ON COLUMN "sluice".outbox.tracestate IS 'W3C trace context, vendors'' part.';
COMMENT ON COLUMN "sluice".outbox.created_at IS 'When it was asked for.';
COMMENT ON COLUMN "sluice".outbox.expires_at IS 'The mail is not sent after this. Null: it is of use for ever.';
COMMENT ON COLUMN "sluice".outbox.priority IS 'high goes before normal.';

-- The relay looks for this.
CREATE OR REPLACE FUNCTION "sluice".outbox_version() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
COMMENT ON FUNCTION "sluice".outbox_version() IS 'The version of the outbox of Sluice.';

-- Asks for a mail in your transaction: it is sent if that is committed, and never if it is rolled back. Returns the id of the mail.
-- It works with the rights of its owner (SECURITY DEFINER, with a fixed search path): whoever may call it can ask for mails, and can
-- neither read nor change those of others.
CREATE OR REPLACE FUNCTION "sluice".enqueue_mail(
    type        text,
    email       text,
    data        jsonb       DEFAULT '{}',
    name        text        DEFAULT NULL,
    locale      text        DEFAULT NULL,
    expires_at  timestamptz DEFAULT NULL,
    priority    text        DEFAULT 'normal',
    traceparent text        DEFAULT NULL,
    tracestate  text        DEFAULT NULL,
    id          uuid        DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $sluice$
DECLARE
    welcome boolean := enqueue_mail.type = 'email.welcome';
    mail    uuid    := coalesce(enqueue_mail.id, (
        overlay(lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 4096000)::bigint), 15, '0') PLACING '7' FROM 13 FOR 0)
        || right(replace(gen_random_uuid()::text, '-', ''), 16)
    )::uuid);
    content bytea;
    wrong   text;
BEGIN
    -- What is wrong is said without what it is: errors are logged, and addresses should not be.
    wrong := CASE
        WHEN coalesce(btrim(enqueue_mail.type), '') = '' THEN 'type is empty'
        -- What no worker can have files for.
        WHEN octet_length(enqueue_mail.type) > 100
          OR enqueue_mail.type !~ '^[A-Za-z0-9-][A-Za-z0-9_-]*([.][A-Za-z0-9_-]+)*$'
            THEN 'type is not a name such as email.welcome: letters, digits, - and _, in parts between dots, at most 100 bytes'
        WHEN coalesce(enqueue_mail.email, '') !~ '^[^[:space:][:cntrl:]].*@[^[:space:][:cntrl:]@]+$'
          OR enqueue_mail.email ~ '[[:cntrl:]]' THEN 'email is not one address, such as ada@example.com'
        WHEN jsonb_typeof(enqueue_mail.data) <> 'object' THEN 'data is not a JSON object'
        WHEN length(enqueue_mail.name) > 256 THEN 'name is longer than 256 characters'
        WHEN enqueue_mail.name ~ '[[:cntrl:]]' THEN 'name has control characters'
        WHEN welcome AND coalesce(enqueue_mail.name, '') = '' THEN 'email.welcome needs a name'
        WHEN enqueue_mail.expires_at IN ('infinity', '-infinity') THEN 'expires_at is not a moment: null is for ever'
        WHEN enqueue_mail.priority NOT IN ('normal', 'high') THEN 'priority is neither normal nor high'
    END;
    IF wrong IS NULL THEN
        content := convert_to((
            jsonb_strip_nulls(jsonb_build_object(
                'email', enqueue_mail.email,
                'name', enqueue_mail.name,
                -- What this type was called by before there were others.
                'username', CASE WHEN welcome THEN enqueue_mail.name END,
                'locale', enqueue_mail.locale
            ))
            || CASE WHEN enqueue_mail.data <> '{}' THEN jsonb_build_object('data', enqueue_mail.data) ELSE '{}' END
        )::text, 'UTF8');
        IF octet_length(content) > 65536 THEN
            wrong := 'the mail is larger than 65536 bytes as JSON: leave something out of data';
        END IF;
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'enqueue_mail: %', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;

    INSERT INTO "sluice".outbox (id, task_type, body, traceparent, tracestate, expires_at, priority)
    VALUES (mail, enqueue_mail.type, content, enqueue_mail.traceparent, enqueue_mail.tracestate,
            enqueue_mail.expires_at, coalesce(enqueue_mail.priority, 'normal'))
    -- An id that waits already is a mail that was asked for already.
    ON CONFLICT DO NOTHING;
    RETURN mail;
END
$sluice$;
COMMENT ON FUNCTION "sluice".enqueue_mail(text, text, jsonb, text, text, timestamptz, text, text, text, uuid)
    IS 'Asks for a mail in this transaction, and returns its id.';
REVOKE ALL ON FUNCTION "sluice".enqueue_mail(text, text, jsonb, text, text, timestamptz, text, text, text, uuid) FROM PUBLIC;

-- A table of this name that was here before, and is another one, fails here.
DO $sluice$
BEGIN
    PERFORM id, task_type, body, traceparent, tracestate, created_at, expires_at, priority FROM "sluice".outbox LIMIT 0;
END
$sluice$;

-- Who asks for mails needs no other right than these.
-- GRANT USAGE ON SCHEMA "sluice" TO ROLE;
-- GRANT EXECUTE ON FUNCTION "sluice".enqueue_mail(text, text, jsonb, text, text, timestamptz, text, text, text, uuid) TO ROLE;

-- Who relays. SELECT .. FOR UPDATE wants the right to change one column: the one that matters least.
-- GRANT USAGE ON SCHEMA "sluice" TO ROLE;
-- GRANT SELECT, DELETE, UPDATE (tracestate) ON "sluice".outbox TO ROLE;
-- GRANT EXECUTE ON FUNCTION "sluice".outbox_version() TO ROLE;
