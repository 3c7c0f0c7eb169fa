-- Who registered. The names of the unique indexes are what the service turns into answers: see src/db/users.rs.
CREATE TABLE users (
    -- UUIDv7: new rows go to the end of the index.
    id            uuid        PRIMARY KEY,
    username      text        NOT NULL,
    -- As given, for sending to.
    email         text        NOT NULL,
    -- Lower case, domain in A-labels: folded by contract::EmailAddress, which knows more of it than lower() does.
    email_folded  text        NOT NULL,
    -- Argon2id as a PHC string: parameters and salt are inside.
    password_hash text        NOT NULL,
    locale        text,
    created_at    timestamptz NOT NULL DEFAULT now()
);

-- Usernames are ASCII, so that the collation of the database makes no difference.
CREATE UNIQUE INDEX users_username_key ON users (lower(username COLLATE "C"));
CREATE UNIQUE INDEX users_email_key ON users (email_folded COLLATE "C");
