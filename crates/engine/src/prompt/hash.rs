//! Names by content: of a picture as the model sees it, and of a block of tokens with everything before it. Two blocks
//! of one name have the same keys and values, so that one request may use what another has computed.
//!
//! The hash is SHA-256: clients choose the content, and a collision would show one client's picture to another.

use std::fmt;

use sha2::{Digest, Sha256};

use super::ImageSpan;

/// The name of a picture as the model sees it: its resized pixels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash(pub [u8; 32]);

/// The name of a block of tokens and all blocks before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockHash([u8; 32]);

impl ContentHash {
    /// The name of a picture of `width` x `height` resized pixels, given as bytes (RGB, row by row).
    #[must_use]
    pub fn of_pixels(width: u32, height: u32, rgb: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(width.to_le_bytes());
        hasher.update(height.to_le_bytes());
        hasher.update(rgb);
        Self(hasher.finalize().into())
    }
}

impl BlockHash {
    /// The name of the block of `tokens` that starts at `start` of its sequence, after the block `before`. `salt` keeps
    /// sequences apart that may not share (`cache_salt`); it matters in the first block only, as each name holds those
    /// before it.
    #[must_use]
    pub fn of(before: Option<Self>, start: usize, tokens: &[u32], images: &[ImageSpan], salt: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        match before {
            Some(before) => hasher.update(before.0),
            None => {
                hasher.update((salt.len() as u64).to_le_bytes());
                hasher.update(salt);
            }
        }
        for token in tokens {
            hasher.update(token.to_le_bytes());
        }
        let end = start + tokens.len();
        for image in images.iter().filter(|image| image.start < end && start < image.end()) {
            // Which of the picture's rows stand in the block depends on where it starts, seen from the block.
            let offset = image.start as i64 - start as i64;
            hasher.update(offset.to_le_bytes());
            hasher.update(image.content.0);
        }
        Self(hasher.finalize().into())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({})", first_bytes(&self.0))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockHash({})", first_bytes(&self.0))
    }
}

fn first_bytes(hash: &[u8; 32]) -> String {
    hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use geometry::Grid;

    use super::*;

    #[test]
    fn a_picture_is_named_by_its_bytes() {
        // Expected: sha256 of the eight bytes of the sides and the pixels (coreutils sha256sum).
        let hash = ContentHash::of_pixels(2, 1, &[1, 2, 3, 4, 5, 6]);
        assert_eq!(first_bytes(&hash.0), "f25af82c");
        assert_ne!(hash, ContentHash::of_pixels(1, 2, &[1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn a_block_is_named_by_all_that_its_keys_depend_on() {
        let image = |start, content| ImageSpan {
            start,
            len: 4,
            grid: Grid { t: 1, h: 4, w: 4 },
            content: ContentHash([content; 32]),
        };
        let name =
            |before, tokens: &[u32], images: &[ImageSpan], salt: &[u8]| BlockHash::of(before, 16, tokens, images, salt);
        let plain = name(None, &[1, 2, 3], &[], b"");
        assert_eq!(plain, name(None, &[1, 2, 3], &[], b""));
        assert_ne!(plain, name(None, &[1, 2, 4], &[], b""));
        assert_ne!(plain, name(Some(plain), &[1, 2, 3], &[], b""));
        assert_ne!(plain, name(None, &[1, 2, 3], &[], b"other user"));
        // A picture counts where it overlaps the block (tokens 16 to 18), with its place.
        assert_eq!(plain, name(None, &[1, 2, 3], &[image(12, 1)], b""));
        assert_eq!(plain, name(None, &[1, 2, 3], &[image(19, 1)], b""));
        let pictured = name(None, &[1, 2, 3], &[image(13, 1)], b"");
        assert_ne!(plain, pictured);
        assert_ne!(pictured, name(None, &[1, 2, 3], &[image(14, 1)], b""));
        assert_ne!(pictured, name(None, &[1, 2, 3], &[image(13, 2)], b""));
    }
}
