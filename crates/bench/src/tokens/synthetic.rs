//! Texts of an exact number of tokens, made of ordinary words, different from their first words on. Deterministic:
//! the same tokenizer, length, seed and index give the same text on every machine.

use super::words::WORDS;
use super::{Loaded, TokensError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// This many words at the start spell the index (base: the number of words), so that no two texts share a prefix of
/// the 16 tokens that a block of a prefix cache holds. 158⁴ is more indexes than anyone asks for.
const LEADING_WORDS: u32 = 4;

/// Corrections before giving up; one or two are needed with tokenizers that merge across words.
const CORRECTIONS_MAX: u32 = 64;

/// What fills a gap that no word fits, most ordinary first: one byte of ASCII is one token for byte-level tokenizers.
const FILLERS: [&str; 16] = [" a", " I", ".", ",", "!", "?", ";", "a", "7", "3", " 7", "\n", ":", "-", "x", "z"];

/// A word with its length in tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    word: &'static str,
    /// At the start of a text.
    first: u32,
    /// After a space.
    inner: u32,
}

impl Loaded {
    /// A text of exactly `tokens` tokens. Texts of one `rng_seed` with different `index` differ within their first
    /// four words, as long as there is room for them (one token has only as many texts as there are short words).
    ///
    /// # Errors
    /// [`TokensError::Synthetic`] when this tokenizer gives no such text, [`TokensError::Encode`] when it fails.
    pub fn synthetic_text(&self, tokens: u32, rng_seed: u64, index: u64) -> Result<String, TokensError> {
        let mut draft = Draft::default();
        let pieces = self.pieces()?;
        self.lead(&mut draft, pieces, tokens, rng_seed, index);
        let mut rng = ChaCha8Rng::seed_from_u64(rng_seed);
        rng.set_stream(index.wrapping_add(1));
        for _ in 0..CORRECTIONS_MAX {
            fill(&mut draft, pieces, tokens, &mut rng);
            let mut text = draft.text();
            let count = self.count(&text)?;
            let missing = u64::from(tokens).checked_sub(count);
            match missing {
                Some(missing) if self.pad(&mut text, missing)? => return Ok(text),
                // Shorter than the sum of its words: believe the count and add more.
                Some(missing) => draft.tokens = tokens - u32::try_from(missing.max(1)).unwrap_or(tokens).min(tokens),
                None => draft.pop(),
            }
        }
        Err(TokensError::Synthetic { tokens })
    }

    /// The words that spell `index`. Each place turns the list by what stood before it, so that neighbours do not
    /// share their later words either.
    fn lead(&self, draft: &mut Draft, pieces: &[Piece], tokens: u32, rng_seed: u64, index: u64) {
        let mut rest = index;
        let mut turn = usize::try_from(ChaCha8Rng::seed_from_u64(rng_seed).random::<u32>()).unwrap_or(0);
        for _ in 0..LEADING_WORDS {
            let fitting: Vec<&Piece> = pieces.iter().filter(|p| draft.cost(p) <= tokens - draft.tokens).collect();
            let Ok(base @ 1..) = u64::try_from(fitting.len()) else { return };
            let digit = usize::try_from(rest % base).unwrap_or(0);
            rest /= base;
            let Some(piece) = fitting.get((digit + turn % fitting.len()) % fitting.len()) else { return };
            draft.push(piece);
            turn = turn.wrapping_mul(31).wrapping_add(17 * digit + 1) % (1 << 20);
        }
    }

    /// Adds `missing` tokens of single characters; false when none of them adds exactly one.
    fn pad(&self, text: &mut String, missing: u64) -> Result<bool, TokensError> {
        if missing == 0 || missing > 16 {
            return Ok(missing == 0);
        }
        let mut count = self.count(text)?;
        let want = count + missing;
        while count < want {
            let mut longer = None;
            for filler in FILLERS.iter().filter(|f| !(text.is_empty() && f.starts_with([' ', '\n']))) {
                let candidate = format!("{text}{filler}");
                if self.count(&candidate)? == count + 1 {
                    longer = Some(candidate);
                    break;
                }
            }
            let Some(candidate) = longer else { return Ok(false) };
            *text = candidate;
            count += 1;
        }
        Ok(true)
    }

    fn pieces(&self) -> Result<&[Piece], TokensError> {
        if let Some(pieces) = self.pieces.get() {
            return Ok(pieces);
        }
        let mut pieces = Vec::with_capacity(WORDS.len());
        for word in WORDS {
            // The length inside a text, not alone: some tokenizers put a space before a whole text.
            let [first, two] = [self.count(word)?, self.count(&format!("{word} {word}"))?];
            let [first, inner] = [first, two.saturating_sub(first)].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
            if first > 0 && inner > 0 {
                pieces.push(Piece { word, first, inner });
            }
        }
        Ok(self.pieces.get_or_init(|| pieces))
    }
}

/// A text in the making: words, and how many tokens they should be.
#[derive(Debug, Default)]
struct Draft {
    words: Vec<(&'static str, u32)>,
    tokens: u32,
}

impl Draft {
    fn cost(&self, piece: &Piece) -> u32 {
        if self.words.is_empty() { piece.first } else { piece.inner }
    }

    fn push(&mut self, piece: &Piece) {
        let cost = self.cost(piece);
        self.words.push((piece.word, cost));
        self.tokens = self.tokens.saturating_add(cost);
    }

    fn pop(&mut self) {
        if let Some((_, cost)) = self.words.pop() {
            self.tokens = self.tokens.saturating_sub(cost);
        }
    }

    fn text(&self) -> String {
        let words: Vec<&str> = self.words.iter().map(|(word, _)| *word).collect();
        words.join(" ")
    }
}

/// Adds random words that fit until none does.
fn fill(draft: &mut Draft, pieces: &[Piece], tokens: u32, rng: &mut ChaCha8Rng) {
    while draft.tokens < tokens && !pieces.is_empty() {
        let room = tokens - draft.tokens;
        let piece = pieces[rng.random_range(0..pieces.len())];
        if draft.cost(&piece) <= room {
            draft.push(&piece);
            continue;
        }
        let fitting: Vec<&Piece> = pieces.iter().filter(|p| draft.cost(p) <= room).collect();
        let Some(piece) = fitting.get(rng.random_range(0..fitting.len().max(1))) else { return };
        draft.push(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{home, qwen_folder, tiny_tokenizer, write};
    use super::super::{Env, Spec, resolve};
    use super::*;
    use std::collections::HashSet;

    fn load(path: &std::path::Path) -> Loaded {
        let spec = Spec { tokenizer: Some(path.display().to_string()), ..Spec::default() };
        resolve(&spec, &Env::default()).unwrap().unwrap()
    }

    fn check(loaded: &Loaded, tokens: u32, texts: u64) {
        let mut starts = HashSet::new();
        for index in 0..texts {
            let text = loaded.synthetic_text(tokens, 7, index).unwrap();
            assert_eq!(loaded.count(&text).unwrap(), u64::from(tokens), "{text:?}");
            assert_eq!(text, loaded.synthetic_text(tokens, 7, index).unwrap());
            let start: Vec<u32> = loaded.encode(&text).unwrap().into_iter().take(16).collect();
            assert!(starts.insert(start), "{tokens} tokens, {index}: {text:?}");
        }
    }

    #[test]
    fn exact_lengths_with_qwen2() {
        let loaded = load(&qwen_folder());
        assert_eq!(loaded.synthetic_text(0, 7, 0).unwrap(), "");
        for tokens in 1..40 {
            check(&loaded, tokens, 1);
        }
        check(&loaded, 64, 400);
        check(&loaded, 1024, 3);
    }

    #[test]
    fn seeds_differ_from_the_first_words_on() {
        let loaded = load(&qwen_folder());
        let start = |seed| loaded.encode(&loaded.synthetic_text(64, seed, 0).unwrap()).unwrap()[..16].to_vec();
        assert_ne!(start(1), start(2));
    }

    #[test]
    fn exact_lengths_with_whole_words() {
        let (dir, _) = home();
        write(&dir.path().join("tokenizer.json"), &tiny_tokenizer(&WORDS));
        let loaded = load(dir.path());
        check(&loaded, 1, WORDS.len() as u64);
        check(&loaded, 2, 1000);
        check(&loaded, 128, 20);
    }

    #[test]
    fn a_tokenizer_that_gives_no_such_text_ends_with_an_error() {
        let (dir, _) = home();
        // Every text is one token.
        let one = tiny_tokenizer(&["x"]).replace(r#"{"type":"WhitespaceSplit"}"#, "null");
        write(&dir.path().join("tokenizer.json"), &one);
        let error = load(dir.path()).synthetic_text(5, 0, 0).unwrap_err();
        assert_eq!(error, TokensError::Synthetic { tokens: 5 });
    }
}
