//! The spellings of one local part: composed or not, in any width, in any case.

use icu_normalizer::ComposingNormalizerBorrowed;

/// U+FF61 to U+FF9F, in the usual width. The last two are the marks that are put on the letter before.
const KATAKANA: &str = "。「」、・ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン\u{3099}\u{309a}";
/// U+FFE0 to U+FFEE, in the usual width. U+FFE7 is no character.
const SIGNS: &str = "¢£¬¯¦¥₩\u{ffe7}│←↑→↓■○";

/// Letters with their marks in one character, where there is one (NFC).
pub(super) fn composed(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned()
}

/// The form that all spellings share: width, case, composition, in the order of RFC 8265, section 3.3.2.
pub(super) fn folded(local: &str) -> String {
    let usual: String = composed(local).chars().map(usual_width).collect();
    composed(&usual.to_lowercase())
}

/// The same character, neither full width nor half width: what Unicode calls its `<wide>` or `<narrow>` decomposition.
pub(super) fn usual_width(c: char) -> char {
    let shifted = |to: u32, from: u32| char::from_u32(to + (u32::from(c) - from)).unwrap_or(c);
    let listed = |list: &str, from: u32| list.chars().nth((u32::from(c) - from) as usize).unwrap_or(c);
    match u32::from(c) {
        0x3000 => ' ',
        from @ 0xff01..=0xff5e => char::from_u32(from - 0xfee0).unwrap_or(c),
        0xff5f..=0xff60 => shifted(0x2985, 0xff5f),
        0xff61..=0xff9f => listed(KATAKANA, 0xff61),
        0xffa0 => '\u{3164}',
        0xffa1..=0xffbe => shifted(0x3131, 0xffa1),
        0xffc2..=0xffc7 => shifted(0x314f, 0xffc2),
        0xffca..=0xffcf => shifted(0x3155, 0xffca),
        0xffd2..=0xffd7 => shifted(0x315b, 0xffd2),
        0xffda..=0xffdc => shifted(0x3161, 0xffda),
        0xffe0..=0xffee => listed(SIGNS, 0xffe0),
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::rngs::SmallRng;
    use rand::seq::IndexedRandom as _;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    const RUNS: u32 = 5_000;

    /// Unicode's own form without width, and without much else.
    fn nfkc(text: &str) -> String {
        ComposingNormalizerBorrowed::new_nfkc().normalize(text).into_owned()
    }

    fn decomposed(text: &str) -> String {
        icu_normalizer::DecomposingNormalizerBorrowed::new_nfd().normalize(text).into_owned()
    }

    #[test]
    fn every_character_of_another_width_has_the_usual_one() {
        for c in ('\u{ff00}'..='\u{ffef}').chain(['\u{3000}']) {
            let (usual, c) = (usual_width(c).to_string(), c.to_string());
            assert_eq!(usual == c, nfkc(&c) == c, "{c} is {usual}");
            assert_eq!(nfkc(&usual), nfkc(&c), "{c} is {usual}");
        }
    }

    #[test]
    fn only_width_case_and_composition_make_two_characters_one() {
        let mut spellings: HashMap<String, Vec<char>> = HashMap::new();
        // What lies between are ideographs, syllables and private use: no case, no width.
        let all = ('\0'..='\u{33ff}')
            .chain('\u{a000}'..='\u{ac10}')
            .chain('\u{f900}'..='\u{1ffff}')
            .chain('\u{2f800}'..='\u{2fa1f}');
        for c in all {
            spellings.entry(folded(&c.to_string())).or_default().push(c);
        }
        for (folded, together) in spellings {
            for c in together {
                let text = c.to_string();
                let other_width = ('\u{ff00}'..='\u{ffef}').contains(&c) || c == '\u{3000}';
                let text = if other_width { usual_width(c).to_string() } else { text };
                assert_eq!(decomposed(&text.to_lowercase()), decomposed(&folded), "U+{:04X} is {folded}", u32::from(c));
            }
        }
    }

    /// Texts of a few characters that compose, widen, narrow and change case in every way.
    fn some_text(rng: &mut SmallRng) -> String {
        const MARKS: &[char] =
            &['\u{300}', '\u{301}', '\u{307}', '\u{308}', '\u{323}', '\u{345}', '\u{3099}', '\u{ff9e}', '\u{ff9f}'];
        const LETTERS: &[char] = &[
            'a', 'A', 'i', 'I', 'k', '\u{212a}', 'o', 's', '\u{df}', '\u{1e9e}', '\u{130}', '\u{131}', '\u{3a3}',
            '\u{3c3}', '\u{3c2}', '\u{2126}', '\u{1f82}', '\u{3b1}', '\u{958}', '\u{ff21}', '\u{ff41}', '\u{30cf}',
            '\u{ff8a}', '\u{1100}', '\u{1161}', '\u{11a8}', '\u{ac00}', '\u{ffa1}', '\u{ffc2}', '1', '+', '.',
            '\u{ff0e}',
        ];
        (0..rng.random_range(1..8))
            .map(|_| match rng.random_range(0..8) {
                0..3 => MARKS.choose(rng).copied().unwrap_or('a'),
                3..7 => LETTERS.choose(rng).copied().unwrap_or('a'),
                _ => rng.random(),
            })
            .collect()
    }

    #[test]
    fn folding_is_done_at_once_and_overlooks_how_a_text_is_composed() {
        let seed = rand::random();
        let mut rng = SmallRng::seed_from_u64(seed);
        for _ in 0..RUNS {
            let text = some_text(&mut rng);
            let once = folded(&text);
            assert_eq!(folded(&once), once, "again, {text:?}, seed {seed}");
            assert_eq!(folded(&decomposed(&text)), once, "decomposed, {text:?}, seed {seed}");
            assert_eq!(folded(&composed(&text)), once, "composed, {text:?}, seed {seed}");
            let wide: String = text
                .chars()
                .map(|c| match c {
                    '!'..='~' => char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c),
                    _ => c,
                })
                .collect();
            assert_eq!(folded(&wide), once, "in full width, {text:?}, seed {seed}");
        }
    }

    /// Both are one under Unicode's widest fold, which joins more: whatever differs there must not be one here.
    #[test]
    fn what_differs_otherwise_stays_two() {
        let seed = rand::random();
        let mut rng = SmallRng::seed_from_u64(seed);
        for _ in 0..RUNS {
            let one = some_text(&mut rng);
            // Another, or the same but for one character.
            let mut other: Vec<char> = one.chars().collect();
            let at = rng.random_range(0..other.len());
            other[at] = some_text(&mut rng).chars().next().unwrap_or('a');
            let other: String = other.into_iter().collect();
            let widest = |text: &str| nfkc(&nfkc(text).to_lowercase());
            if widest(&one) != widest(&other) {
                assert_ne!(folded(&one), folded(&other), "{one:?} and {other:?}, seed {seed}");
            }
        }
    }

    /// The migration of user-api folds what was folded by lower case alone, without the address itself.
    #[test]
    fn what_was_folded_without_regard_to_composition_can_be_folded_on() {
        let seed = rand::random();
        let mut rng = SmallRng::seed_from_u64(seed);
        for _ in 0..RUNS {
            let text = some_text(&mut rng);
            let before = text.to_lowercase();
            let usual: String = before.chars().map(usual_width).collect();
            assert_eq!(composed(&usual), folded(&text), "{text:?}, seed {seed}");
        }
    }
}
