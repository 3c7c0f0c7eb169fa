-- What operators ask of the fleet, whatever its workers were started with. Workers look once a second.
CREATE TABLE sending_controls (
    -- pause: no mail is sent. limit: not faster than this.
    kind    text        NOT NULL CHECK (kind IN ('pause', 'limit')),
    -- fleet: every mail; type: mails of this type; domain: mails to this domain.
    scope   text        NOT NULL CHECK (scope IN ('fleet', 'type', 'domain')),
    name    text        NOT NULL,
    -- Of a limit: as MAIL_RATE is written, 0 for none.
    rate    text        CHECK (rate ~ '^[0-9]{1,12}(/[smh])?$'),
    set_by  text        NOT NULL,
    reason  text        NOT NULL,
    set_at  timestamptz NOT NULL DEFAULT now(),
    -- It ends by itself then.
    until   timestamptz,
    PRIMARY KEY (kind, scope, name),
    CHECK ((name = '') = (scope = 'fleet')),
    CHECK ((kind = 'limit') = (rate IS NOT NULL))
);

-- Who asked for what, and when.
CREATE TABLE operator_actions (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    operator text        NOT NULL,
    -- pause, resume, limit, unlimit.
    action   text        NOT NULL,
    -- fleet, type:shop.receipt, domain:example.com.
    object   text        NOT NULL,
    detail   text        NOT NULL
);
