-- Which registration a client's Idempotency-Key stands for. Written for successes only, kept for 24 hours. Neither the
-- request nor the answer is kept: both are compared with and made again from the user.
CREATE TABLE idempotency_keys (
    key        text        COLLATE "C" PRIMARY KEY,
    user_id    uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- For the purge, which takes the oldest first, and for the deletion of a user.
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
CREATE INDEX idempotency_keys_user_id ON idempotency_keys (user_id);
