-- The outbox as every application has it (docs/outbox.md). Registrations use neither column: null and 'normal', as the version before writes.
ALTER TABLE outbox
    -- The mail is not sent after this.
    ADD COLUMN expires_at timestamptz CONSTRAINT outbox_expires_at_is_finite CHECK (isfinite(expires_at)),
    ADD COLUMN priority text NOT NULL DEFAULT 'normal'
        CONSTRAINT outbox_priority_is_known CHECK (priority IN ('normal', 'high'));
