//! From the planes of a JPEG file to samples: which colours they mean, and the
//! conversion of luma and chroma, in every bit as libjpeg's (`jdcolor`).

use super::frame::Frame;
use super::segment::Head;
use super::upsample::Upsampling;
use crate::pixels::Error;
use crate::pixels::raster::Samples;

/// What the components of a file are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Colours {
    Grey,
    Rgb,
    Ycc,
    /// Inks as Adobe writes them, inverted.
    Cmyk,
    /// Luma and chroma of inverted inks, and inverted black.
    Ycck,
}

/// The samples of the picture.
pub(super) fn samples(frame: &Frame, head: &Head) -> Result<Samples, Error> {
    let colours = colours(frame, head);
    let ways: Vec<Upsampling> =
        frame.components.iter().map(|component| Upsampling::new(component, frame)).collect::<Result<_, _>>()?;
    let channels = frame.components.len();
    let mut rows = vec![vec![0; frame.width]; channels];
    let mut out = vec![0; frame.width * frame.height * channels];
    let chroma = Chroma::new();
    for (y, pixels) in out.chunks_exact_mut(frame.width * channels).enumerate() {
        for ((way, component), row) in ways.iter().zip(&frame.components).zip(&mut rows) {
            way.row(component, y, row);
        }
        for (channel, row) in rows.iter().enumerate() {
            pixels.iter_mut().skip(channel).step_by(channels).zip(row).for_each(|(to, from)| *to = *from);
        }
        match colours {
            Colours::Grey | Colours::Rgb => {}
            Colours::Ycc => pixels.as_chunks_mut().0.iter_mut().for_each(|pixel| *pixel = chroma.rgb(*pixel)),
            Colours::Cmyk => pixels.iter_mut().for_each(|ink| *ink = 255 - *ink),
            Colours::Ycck => {
                for [y, cb, cr, black] in pixels.as_chunks_mut::<4>().0 {
                    // libjpeg gives 255 - RGB as inks and Pillow inverts them once more.
                    [*y, *cb, *cr] = chroma.rgb([*y, *cb, *cr]);
                    *black = 255 - *black;
                }
            }
        }
    }
    Ok(match colours {
        Colours::Grey => Samples::Grey { levels: out, clear: None },
        Colours::Rgb | Colours::Ycc => Samples::Rgb(out),
        Colours::Cmyk | Colours::Ycck => Samples::Cmyk(out),
    })
}

/// libjpeg's guess, from the JFIF and Adobe segments and the components' names.
fn colours(frame: &Frame, head: &Head) -> Colours {
    let ids: Vec<u8> = frame.components.iter().map(|component| component.id).collect();
    match (ids.as_slice(), head.adobe) {
        ([_], _) => Colours::Grey,
        ([_, _, _, _], Some(0) | None) => Colours::Cmyk,
        ([_, _, _, _], Some(_)) => Colours::Ycck,
        (_, Some(0)) if !head.jfif => Colours::Rgb,
        (b"RGB", None) if !head.jfif => Colours::Rgb,
        _ => Colours::Ycc,
    }
}

/// What each level of chroma adds, with 16 fraction bits where two are added.
struct Chroma {
    red: [i32; 256],
    blue: [i32; 256],
    green_of_cr: [i32; 256],
    green_of_cb: [i32; 256],
}

const HALF: i32 = 1 << 15;

impl Chroma {
    fn new() -> Self {
        let centred = |level: usize| level as i32 - 128;
        Self {
            red: std::array::from_fn(|cr| (91_881 * centred(cr) + HALF) >> 16),
            blue: std::array::from_fn(|cb| (116_130 * centred(cb) + HALF) >> 16),
            green_of_cr: std::array::from_fn(|cr| -46_802 * centred(cr)),
            green_of_cb: std::array::from_fn(|cb| -22_554 * centred(cb) + HALF),
        }
    }

    fn rgb(&self, [y, cb, cr]: [u8; 3]) -> [u8; 3] {
        let (y, cb, cr) = (i32::from(y), usize::from(cb), usize::from(cr));
        let green = (self.green_of_cb[cb] + self.green_of_cr[cr]) >> 16;
        [self.red[cr], green, self.blue[cb]].map(|chroma| (y + chroma).clamp(0, 255) as u8)
    }
}
