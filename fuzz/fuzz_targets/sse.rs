//! Whatever the bytes and wherever they are cut, decoding gives the same events at the same places, and reading them as
//! chunks never panics. Run with `cargo fuzz run sse` (needs cargo-fuzz and a nightly compiler).
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{ChatChunk, SseDecoder, SseEvent};

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<SseEvent>, Option<SseEvent>) {
    let mut decoder = SseDecoder::new(1 << 20);
    let mut events = Vec::new();
    for piece in pieces {
        if decoder.push(piece, |event| events.push(event)).is_err() {
            break;
        }
    }
    let last = decoder.finish();
    (events, last)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, stream) = input;
    let whole = decode(std::iter::once(stream));
    assert_eq!(decode(stream.chunks(usize::from(step) + 1)), whole);
    for event in whole.0.iter().chain(&whole.1) {
        let _ = ChatChunk::parse(&event.data);
    }
});
