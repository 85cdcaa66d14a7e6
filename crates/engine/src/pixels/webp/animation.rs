//! The first frame of an animated WebP file, put on its canvas. It is decoded as a
//! file of its own, because the decoder's way for animations trusts the sizes in them.

use std::io::Cursor;

use image_webp::WebPDecoder;

use super::{broken, still, wrong};
use crate::pixels::Error;
use crate::pixels::number::u32_le;
use crate::pixels::raster::Samples;

/// The canvas after the first frame: clear around it, or black if the file has no alpha.
pub(super) fn first_frame(bytes: &[u8], width: u32, height: u32, has_alpha: bool) -> Result<Samples, Error> {
    let frame = Frame::find(bytes.get(12..).unwrap_or_default()).ok_or_else(|| broken("no frame in it"))?;
    let fits = frame.x + frame.width <= width && frame.y + frame.height <= height;
    if !fits {
        return Err(broken("its first frame reaches out of the picture"));
    }
    let file = frame.file();
    let decoder = WebPDecoder::new(Cursor::new(file.as_slice())).map_err(wrong)?;
    if decoder.is_animated() || decoder.dimensions() != (frame.width, frame.height) {
        return Err(broken("its first frame is of another size than stated"));
    }
    let pixels: Vec<[u8; 4]> = match still(decoder)? {
        Samples::Rgba(pixels) => pixels.as_chunks().0.to_vec(),
        Samples::Rgb(pixels) => pixels.as_chunks().0.iter().map(|[r, g, b]| [*r, *g, *b, 255]).collect(),
        _ => Vec::new(),
    };
    let mut canvas = vec![[0; 4]; width as usize * height as usize];
    let from_width = frame.width as usize;
    for (row, from) in pixels.chunks_exact(from_width).enumerate() {
        let at = (frame.y as usize + row) * width as usize + frame.x as usize;
        if let Some(to) = canvas.get_mut(at..at + from_width) {
            to.copy_from_slice(from);
        }
    }
    Ok(if has_alpha {
        Samples::Rgba(canvas.into_flattened())
    } else {
        Samples::Rgb(canvas.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect())
    })
}

/// The place of a frame on the canvas, in pixels, and its chunks.
struct Frame<'a> {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    chunks: &'a [u8],
}

/// Bytes of an ANMF chunk before its own chunks.
const FRAME_HEADER_BYTES: usize = 16;

impl<'a> Frame<'a> {
    /// The first ANMF chunk among the chunks of a file.
    fn find(mut chunks: &'a [u8]) -> Option<Self> {
        loop {
            let (name, length) = (chunks.get(..4)?, u32_le(chunks, 4)? as usize);
            let body = chunks.get(8..8_usize.checked_add(length)?)?;
            if name == b"ANMF" {
                let number = |at: usize| Some(u32_le(body, at)? & 0xFF_FFFF);
                return Some(Self {
                    x: number(0)? * 2,
                    y: number(3)? * 2,
                    width: number(6)? + 1,
                    height: number(9)? + 1,
                    chunks: body.get(FRAME_HEADER_BYTES..)?,
                });
            }
            // Chunks begin at even places.
            chunks = chunks.get(8 + length + length % 2..)?;
        }
    }

    /// The frame as the bytes of a still picture.
    fn file(&self) -> Vec<u8> {
        const ALPHA: u8 = 0x10;
        let mut body = b"WEBP".to_vec();
        if self.chunks.starts_with(b"ALPH") {
            body.extend_from_slice(b"VP8X\x0A\0\0\0");
            body.extend_from_slice(&[ALPHA, 0, 0, 0]);
            for side in [self.width, self.height] {
                body.extend((side - 1).to_le_bytes().iter().take(3));
            }
        }
        body.extend_from_slice(self.chunks);
        [b"RIFF".as_slice(), &(body.len() as u32).to_le_bytes(), &body].concat()
    }
}
