-- Claims and releases of one worker are numbered, and a row obeys none that is older than the last: a release that is late
-- does not end the claim that came after it, and a late renewal does not bring back what was released.
ALTER TABLE ledger ADD COLUMN fence bigint NOT NULL DEFAULT 0;
