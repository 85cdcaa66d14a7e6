//! Bodies in chunks (RFC 9112, section 7.1), piece by piece. Extensions and trailers are read over. Knows nothing of heads.

use super::request::Sizes;

/// What there is of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoded {
    More,
    End,
    TooLarge,
    Malformed,
}

/// Reads one body.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    place: Place,
    /// Bytes of trailers so far.
    trailer_bytes: usize,
}

#[derive(Debug, Clone, Copy, Default)]
enum Place {
    /// Before the line with a size.
    #[default]
    Size,
    /// So many bytes of the chunk are to come.
    Data(usize),
    /// After a chunk's data: an empty line.
    DataEnd,
    /// After the last chunk: lines up to an empty one.
    Trailers,
}

impl Chunked {
    /// Moves data from `input` to `into` and drops the framing.
    pub(super) fn take(&mut self, input: &mut Vec<u8>, into: &mut Vec<u8>, sizes: Sizes) -> Decoded {
        let mut at = 0;
        let decoded = loop {
            let rest = input.get(at..).unwrap_or_default();
            let (used, next) = match self.place {
                Place::Data(left) => {
                    let (data, _) = rest.split_at(rest.len().min(left));
                    into.extend_from_slice(data);
                    let left = left - data.len();
                    (data.len(), if left == 0 { Ok(Place::DataEnd) } else { Ok(Place::Data(left)) })
                }
                _ => match line(rest, sizes.head_bytes_max) {
                    Ok(Some((line, used))) => (used, self.after_line(line, used, into.len(), sizes)),
                    Ok(None) => break Decoded::More,
                    Err(decoded) => break decoded,
                },
            };
            at += used;
            match next {
                Ok(Place::Data(left)) if at == input.len() => {
                    self.place = Place::Data(left);
                    break Decoded::More;
                }
                Ok(place) => self.place = place,
                Err(decoded) => break decoded,
            }
        };
        input.drain(..at);
        decoded
    }

    /// What follows a line at this place.
    fn after_line(&mut self, line: &[u8], used: usize, body_bytes: usize, sizes: Sizes) -> Result<Place, Decoded> {
        match self.place {
            Place::Size => match size(line).ok_or(Decoded::Malformed)? {
                0 => Ok(Place::Trailers),
                size if size > sizes.body_bytes_max.saturating_sub(body_bytes) => Err(Decoded::TooLarge),
                size => Ok(Place::Data(size)),
            },
            Place::Trailers if line.is_empty() => Err(Decoded::End),
            Place::Trailers => {
                self.trailer_bytes += used;
                if self.trailer_bytes > sizes.head_bytes_max { Err(Decoded::Malformed) } else { Ok(Place::Trailers) }
            }
            _ if line.is_empty() => Ok(Place::Size),
            _ => Err(Decoded::Malformed),
        }
    }
}

/// The first line without its end, and the bytes it takes; `None` while it is not whole.
fn line(bytes: &[u8], bytes_max: usize) -> Result<Option<(&[u8], usize)>, Decoded> {
    match bytes.iter().take(bytes_max).position(|byte| *byte == b'\n') {
        Some(end) => {
            let (line, _) = bytes.split_at(end);
            // A bare LF would let two readers see two framings.
            let line = line.strip_suffix(b"\r").ok_or(Decoded::Malformed)?;
            Ok(Some((line, end + 1)))
        }
        None if bytes.len() >= bytes_max => Err(Decoded::Malformed),
        None => Ok(None),
    }
}

/// The size in front of an extension.
fn size(line: &[u8]) -> Option<usize> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    usize::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}
