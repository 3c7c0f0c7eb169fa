-- The row of the fleet's rate also keeps how the moments were spaced when they were last leased, and what the fleet learnt
-- about the mail server's own limit. Workers read it, decide, and write it if the version is still the one they read.
ALTER TABLE mail_rate
    ADD COLUMN spacing float8 NOT NULL DEFAULT 0,
    ADD COLUMN learnt  jsonb,
    ADD COLUMN version bigint NOT NULL DEFAULT 0;
