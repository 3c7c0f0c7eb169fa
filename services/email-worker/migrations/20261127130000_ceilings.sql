-- The ceilings (MAIL_RATE) of the workers that are alive, each with when one that has it was seen last: the lowest holds for all.
-- Workers of an older version know nothing of it, and leave it as it is.
ALTER TABLE mail_rate ADD COLUMN ceilings jsonb;
