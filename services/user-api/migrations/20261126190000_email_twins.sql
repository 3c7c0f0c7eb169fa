-- Until now two spellings of one address were two accounts where they differed in composition (NFC, NFD) or in width before
-- the `@`. New registrations are folded by contract::EmailAddress; this folds what is there: docs/decisions/0022-one-address.md.

-- Addresses are Unicode.
DO $$ BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'the database has the encoding %, and needs UTF8: make one with ENCODING ''UTF8'', and move the data there',
            current_setting('server_encoding');
    END IF;
END $$;

-- What email_folded is from now on, of what it was before: that is in lower case already.
CREATE FUNCTION email_folded_on(folded text) RETURNS text IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql AS $$
    SELECT normalize(
        translate(
            folded,
            -- Full width and half width: U+FF01 to U+FFEE.
            U&'\FF01\FF02\FF03\FF04\FF05\FF06\FF07\FF08\FF09\FF0A\FF0B\FF0C\FF0D\FF0E\FF0F\FF10'
            || U&'\FF11\FF12\FF13\FF14\FF15\FF16\FF17\FF18\FF19\FF1A\FF1B\FF1C\FF1D\FF1E\FF1F\FF20'
            || U&'\FF3B\FF3C\FF3D\FF3E\FF3F\FF40\FF41\FF42\FF43\FF44\FF45\FF46\FF47\FF48\FF49\FF4A'
            || U&'\FF4B\FF4C\FF4D\FF4E\FF4F\FF50\FF51\FF52\FF53\FF54\FF55\FF56\FF57\FF58\FF59\FF5A'
            || U&'\FF5B\FF5C\FF5D\FF5E\FF5F\FF60\FF61\FF62\FF63\FF64\FF65\FF66\FF67\FF68\FF69\FF6A'
            || U&'\FF6B\FF6C\FF6D\FF6E\FF6F\FF70\FF71\FF72\FF73\FF74\FF75\FF76\FF77\FF78\FF79\FF7A'
            || U&'\FF7B\FF7C\FF7D\FF7E\FF7F\FF80\FF81\FF82\FF83\FF84\FF85\FF86\FF87\FF88\FF89\FF8A'
            || U&'\FF8B\FF8C\FF8D\FF8E\FF8F\FF90\FF91\FF92\FF93\FF94\FF95\FF96\FF97\FF98\FF99\FF9A'
            || U&'\FF9B\FF9C\FF9D\FF9E\FF9F\FFA0\FFA1\FFA2\FFA3\FFA4\FFA5\FFA6\FFA7\FFA8\FFA9\FFAA'
            || U&'\FFAB\FFAC\FFAD\FFAE\FFAF\FFB0\FFB1\FFB2\FFB3\FFB4\FFB5\FFB6\FFB7\FFB8\FFB9\FFBA'
            || U&'\FFBB\FFBC\FFBD\FFBE\FFC2\FFC3\FFC4\FFC5\FFC6\FFC7\FFCA\FFCB\FFCC\FFCD\FFCE\FFCF'
            || U&'\FFD2\FFD3\FFD4\FFD5\FFD6\FFD7\FFDA\FFDB\FFDC\FFE0\FFE1\FFE2\FFE3\FFE4\FFE5\FFE6'
            || U&'\FFE8\FFE9\FFEA\FFEB\FFEC\FFED\FFEE',
            -- The usual width.
            U&'\0021\0022\0023\0024\0025\0026\0027\0028\0029\002A\002B\002C\002D\002E\002F\0030'
            || U&'\0031\0032\0033\0034\0035\0036\0037\0038\0039\003A\003B\003C\003D\003E\003F\0040'
            || U&'\005B\005C\005D\005E\005F\0060\0061\0062\0063\0064\0065\0066\0067\0068\0069\006A'
            || U&'\006B\006C\006D\006E\006F\0070\0071\0072\0073\0074\0075\0076\0077\0078\0079\007A'
            || U&'\007B\007C\007D\007E\2985\2986\3002\300C\300D\3001\30FB\30F2\30A1\30A3\30A5\30A7'
            || U&'\30A9\30E3\30E5\30E7\30C3\30FC\30A2\30A4\30A6\30A8\30AA\30AB\30AD\30AF\30B1\30B3'
            || U&'\30B5\30B7\30B9\30BB\30BD\30BF\30C1\30C4\30C6\30C8\30CA\30CB\30CC\30CD\30CE\30CF'
            || U&'\30D2\30D5\30D8\30DB\30DE\30DF\30E0\30E1\30E2\30E4\30E6\30E8\30E9\30EA\30EB\30EC'
            || U&'\30ED\30EF\30F3\3099\309A\3164\3131\3132\3133\3134\3135\3136\3137\3138\3139\313A'
            || U&'\313B\313C\313D\313E\313F\3140\3141\3142\3143\3144\3145\3146\3147\3148\3149\314A'
            || U&'\314B\314C\314D\314E\314F\3150\3151\3152\3153\3154\3155\3156\3157\3158\3159\315A'
            || U&'\315B\315C\315D\315E\315F\3160\3161\3162\3163\00A2\00A3\00AC\00AF\00A6\00A5\20A9'
            || U&'\2502\2190\2191\2192\2193\25A0\25CB'
        ),
        NFC
    )
$$;

-- The accounts whose address another account has in another spelling, and that other account: nothing is merged or deleted, and
-- the younger keeps the fold that nobody can register any more. An account without an other is one that an older version
-- registered after this migration.
CREATE VIEW email_twins AS
    SELECT twin.id, twin.created_at, first.id AS first_id, first.created_at AS first_created_at
    FROM users AS twin
    LEFT JOIN users AS first ON first.email_folded COLLATE "C" = email_folded_on(twin.email_folded)
    WHERE octet_length(twin.email_folded) > char_length(twin.email_folded)
      AND twin.email_folded COLLATE "C" <> email_folded_on(twin.email_folded);

-- Of each address the account that has it in its usual form already, or else the oldest, is the first.
CREATE FUNCTION fold_email_twins() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    twins bigint;
BEGIN
    WITH folded AS (
        SELECT id, email_folded_on(email_folded) AS usual FROM users
        WHERE octet_length(email_folded) > char_length(email_folded)
          AND email_folded COLLATE "C" <> email_folded_on(email_folded)
    ), first AS (
        SELECT DISTINCT ON (usual COLLATE "C") id, usual FROM folded
        WHERE NOT EXISTS (SELECT FROM users WHERE email_folded COLLATE "C" = usual)
        ORDER BY usual COLLATE "C", id
    )
    UPDATE users SET email_folded = first.usual FROM first WHERE users.id = first.id;
    SELECT count(*) INTO twins FROM email_twins;
    IF twins > 0 THEN
        RAISE WARNING '% accounts have the address of another account in another spelling; SELECT * FROM email_twins lists them', twins;
    END IF;
    RETURN twins;
END
$$;

DO $$ BEGIN PERFORM fold_email_twins(); END $$;
