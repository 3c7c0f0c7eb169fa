-- Addresses that get no mails: those that a mail server does not know, and those that somebody added. The address itself is
-- not here, only its HMAC-SHA-256 under ADDRESS_HASH_KEY.
CREATE TABLE suppressions (
    hash   bytea       PRIMARY KEY CHECK (octet_length(hash) = 32),
    -- Which key it was hashed with: the first bytes of a hash under the key that no address can have.
    key_id text        NOT NULL,
    -- Enhanced code and reason of the refusal, or what the person wrote who added it.
    reason text        NOT NULL,
    -- bounce, command or import.
    source text        NOT NULL,
    since  timestamptz NOT NULL DEFAULT now(),
    until  timestamptz NOT NULL
);

-- For the purge, which takes what has run out.
CREATE INDEX suppressions_until ON suppressions (until);

COMMENT ON COLUMN ledger.sent_at IS 'When the mail server accepted the mail, or its address was found to be suppressed.';
