-- What `mail-api serve` keeps beside the outbox.

-- Who may ask for mails. The key itself is nowhere: what is kept of its 256 random bits is their SHA-256.
CREATE TABLE sluice.api_keys (
    -- The part of the key that may be known.
    id         text        COLLATE "C" PRIMARY KEY,
    name       text        NOT NULL,
    digest     bytea       NOT NULL CONSTRAINT api_keys_digest_is_sha256 CHECK (octet_length(digest) = 32),
    -- The types of mails that it may ask for. Null: all.
    types      text[],
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    -- Kept for the list, and so that its id never comes again.
    revoked_at timestamptz
);
CREATE UNIQUE INDEX api_keys_name ON sluice.api_keys (name) WHERE revoked_at IS NULL;

-- Which mails a client's Idempotency-Key stands for, for 24 hours. Of the request there is a hash alone.
CREATE TABLE sluice.idempotency_keys (
    api_key     text        COLLATE "C" NOT NULL,
    key         text        COLLATE "C" NOT NULL,
    fingerprint bytea       NOT NULL,
    -- Of what could be taken, in the order of the request; null for what was too much for its recipient.
    ids         uuid[]      NOT NULL,
    -- Of a batch, for each mail: its problem, or null for those of the ids.
    refused     jsonb,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (api_key, key)
);
CREATE INDEX idempotency_keys_created_at ON sluice.idempotency_keys (created_at);

-- How much of their mails recipients have had, by a hash of the address, until all of it is theirs again. Unlogged: a crash gives
-- everybody a new start, and no mail pays for a second log.
CREATE UNLOGGED TABLE sluice.recipients (
    recipient bytea       PRIMARY KEY,
    -- Mails that the last request got.
    granted   integer     NOT NULL,
    -- When the whole quota is there again.
    whole_at  timestamptz NOT NULL
);
CREATE INDEX recipients_whole_at ON sluice.recipients (whole_at);

-- How many mails of `quota` are left at the moment, where one comes back `every` so many seconds. The small number: moments are rounded.
CREATE FUNCTION sluice.mails_left(whole_at timestamptz, quota integer, every double precision) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT greatest(floor(quota - greatest(extract(epoch FROM whole_at - now())::float8, 0) / every + 0.0001), 0)::integer
$$;
