//! The first directory of a TIFF file: its entries and their values.

use std::collections::BTreeMap;

use super::{broken, tag};
use crate::pixels::Error;
use crate::pixels::orientation::Orientation;

/// The entries of a directory.
pub(super) struct Directory<'a> {
    pub(super) little: bool,
    entries: BTreeMap<u16, Entry<'a>>,
}

struct Entry<'a> {
    kind: u16,
    data: &'a [u8],
}

impl<'a> Directory<'a> {
    /// Reads the first directory; entries that lead out of the file are left out.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let little = bytes.starts_with(b"II");
        let big = bytes.contains(&43) && bytes.get(2..4).is_some_and(|version| version.contains(&43));
        let at = |place: usize, length: usize| number(bytes.get(place..place.checked_add(length)?)?, little);
        let short = || broken("its directory is cut off");
        let (word, count_bytes, entry_bytes) = if big { (8, 8, 20) } else { (4, 2, 12) };
        let first = at(word, word).ok_or_else(short)? as usize;
        let count = at(first, count_bytes).ok_or_else(short)? as usize;
        let mut entries = BTreeMap::new();
        for index in 0..count.min(usize::from(u16::MAX)) {
            let place = first.saturating_add(count_bytes).saturating_add(index * entry_bytes);
            let (Some(name), Some(kind), Some(values)) = (at(place, 2), at(place + 2, 2), at(place + 4, word)) else {
                break;
            };
            let length = (values as usize).saturating_mul(size_of_kind(kind as u16));
            let here = place + 4 + word;
            let from = if length <= word { Some(here) } else { at(here, word).map(|offset| offset as usize) };
            let data = from.and_then(|from| bytes.get(from..from.checked_add(length)?));
            if let Some(data) = data {
                entries.insert(name as u16, Entry { kind: kind as u16, data });
            }
        }
        Ok(Self { little, entries })
    }

    /// All whole numbers of an entry; none if it is missing or of another kind.
    pub(super) fn numbers(&self, name: u16) -> Vec<u64> {
        match self.entries.get(&name) {
            Some(Entry { kind: kind @ (1 | 3 | 4 | 6 | 8 | 9 | 13 | 16 | 18), data }) => {
                data.chunks_exact(size_of_kind(*kind)).filter_map(|value| number(value, self.little)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The first whole number of an entry.
    pub(super) fn number(&self, name: u16) -> Option<u64> {
        self.numbers(name).first().copied()
    }

    /// The bytes of an entry.
    pub(super) fn bytes_of(&self, name: u16) -> Option<&'a [u8]> {
        self.entries.get(&name).map(|entry| entry.data)
    }

    /// The orientation, if there is such an entry.
    pub(super) fn orientation(&self) -> Option<Orientation> {
        self.entries.get(&tag::ORIENTATION)?;
        match self.numbers(tag::ORIENTATION).as_slice() {
            [value] => Some(Orientation::new(u32::try_from(*value).unwrap_or(1))),
            _ => Some(Orientation::default()),
        }
    }
}

/// An unsigned number of up to eight bytes.
pub(super) fn number(bytes: &[u8], little: bool) -> Option<u64> {
    let step = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    (bytes.len() <= 8).then(|| if little { bytes.iter().rev().fold(0, step) } else { bytes.iter().fold(0, step) })
}

fn size_of_kind(kind: u16) -> usize {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => 1,
    }
}
