//! Whatever the bytes and wherever they are cut, decoding gives the same events at the same places, and reading them as
//! chunks never panics. It must not know what a stream means: only that cuts do not matter.
//!
//! Input: one byte says how many pieces' lengths follow (one byte each, 0 is an empty piece); the rest is the stream,
//! cut into pieces of those lengths, over and over. Run with `cargo +nightly fuzz run sse` (needs cargo-fuzz).
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{ChatChunk, SseDecoder, SseEvent};

/// Far above what the fuzzer sends: no event is refused.
const LIMIT_NONE: usize = 1 << 20;
/// Low enough to be met often.
const LIMIT_SMALL: usize = 16;

fuzz_target!(|input: &[u8]| {
    let Some((&count, rest)) = input.split_first() else { return };
    let (lengths, stream) = rest.split_at(rest.len().min(usize::from(count)));
    let pieces = cut(stream, lengths);

    let whole = decode(&[stream], LIMIT_NONE);
    assert_eq!(decode(&pieces, LIMIT_NONE), whole);
    for event in &whole {
        let _ = ChatChunk::parse(&event.data);
    }

    // Where the limit stops a decoder depends on the cuts (an unfinished line counts whole); what came before does not.
    let bounded = decode(&[stream], LIMIT_SMALL);
    let bounded_cut = decode(&pieces, LIMIT_SMALL);
    assert!(bounded.starts_with(&bounded_cut), "{bounded_cut:?} does not begin {bounded:?}");
    assert!(whole.starts_with(&bounded), "{bounded:?} does not begin {whole:?}");
});

/// The stream in pieces of the given lengths, repeated to its end; no length but 0 means uncut.
fn cut<'a>(mut stream: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    if lengths.iter().all(|&length| length == 0) {
        return vec![stream];
    }
    let mut pieces = Vec::new();
    for &length in lengths.iter().cycle() {
        if stream.is_empty() {
            break;
        }
        let (piece, rest) = stream.split_at(stream.len().min(usize::from(length)));
        pieces.push(piece);
        stream = rest;
    }
    pieces
}

/// All events, the one without its closing blank line included; up to the limit, where it stops the decoder.
fn decode(pieces: &[&[u8]], limit: usize) -> Vec<SseEvent> {
    let mut decoder = SseDecoder::new(limit);
    let mut events = Vec::new();
    for piece in pieces {
        if decoder.push(piece, |event| events.push(event)).is_err() {
            return events;
        }
    }
    events.extend(decoder.finish());
    events
}
