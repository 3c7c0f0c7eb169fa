-- What operators ask of the fleet, whatever its workers were started with. Workers look once a second.
CREATE TABLE sending_controls (
    -- pause: no mail is sent. limit: not faster than this.
    kind    text        NOT NULL CHECK (kind IN ('pause', 'limit')),
    -- fleet: every mail; type: mails of this type; domain: mails to this domain.
    scope   text        NOT NULL CHECK (scope IN ('fleet', 'type', 'domain')),
    name    text        NOT NULL,
    -- Of a limit: as MAIL_RATE is written, 0 for none.
    rate    text        CHECK (rate ~ '^[0-9]{1,12}(/[smh])?$'),
    -- Of a limit, where it has one: mails that one worker sends at once.
    at_once smallint    CHECK (at_once > 0),
    set_by  text        NOT NULL,
    reason  text        NOT NULL,
    set_at  timestamptz NOT NULL DEFAULT now(),
    -- It ends by itself then.
    until   timestamptz,
    PRIMARY KEY (kind, scope, name),
    CHECK ((name = '') = (scope = 'fleet')),
    CHECK ((kind = 'limit') = (rate IS NOT NULL)),
    CHECK (kind = 'limit' OR at_once IS NULL)
);

-- Mails with a pause or a limit of their own wait in a queue of their own, so that they hold up no others: those of a type, or to a
-- domain, or both. Each is consumed for as long as it stands here.
CREATE TABLE apart_queues (
    mail_type text        NOT NULL,
    domain    text        NOT NULL,
    since     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (mail_type, domain),
    CHECK (mail_type <> '' OR domain <> '')
);

-- As mail_rate, for the limits of types and domains.
CREATE TABLE apart_rates (
    scope     text        NOT NULL,
    name      text        NOT NULL,
    next_free timestamptz NOT NULL,
    spacing   float8      NOT NULL DEFAULT 0,
    version   bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (scope, name)
);

-- Who asked for what, and when.
CREATE TABLE operator_actions (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    operator text        NOT NULL,
    -- pause, resume, limit, unlimit, suppress, unsuppress.
    action   text        NOT NULL,
    -- fleet, type:shop.receipt, domain:example.com, recipient:0123456789ab (the beginning of a hash).
    object   text        NOT NULL,
    detail   text        NOT NULL
);
