//! What happens to a drawn picture afterwards, as in a camera: light, noise, a shift. It must not know what is on it.

use engine::pixels::RgbImage;

use crate::dice::Dice;

/// What fills the place that a shifted picture leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    /// Black.
    Black,
    /// The picture's outermost pixels, repeated.
    Edge,
}

/// Multiplies every level by `gain` and adds grey noise of the standard deviation `sigma` (levels).
pub(crate) fn expose(image: &mut RgbImage, dice: &mut Dice, gain: f64, sigma: f64) {
    let mut draws = vec![0; if sigma > 0.0 { image.pixels.len() / 3 * 4 } else { 0 }];
    dice.fill(&mut draws);
    let mut draws = draws.as_chunks::<4>().0.iter();
    let (gain, sigma) = (gain as f32, sigma as f32 / DEVIATION);
    for pixel in image.pixels.as_chunks_mut::<3>().0 {
        let noise = draws.next().map_or(0.0, |four| f32::from(four.map(u16::from).iter().sum::<u16>()) - MIDDLE);
        // A cast cuts toward 0 and stops at 0 and 255.
        *pixel = pixel.map(|level| (f32::from(level) * gain + noise * sigma) as u8);
    }
}

/// Mean and standard deviation of the sum of four random bytes, which is near enough to a bell curve and, other than
/// one, the same on every machine: √(4 · (256² − 1) / 12).
const MIDDLE: f32 = 510.0;
const DEVIATION: f32 = 147.799;

/// Moves the picture by whole pixels to the right and downward, at the same size.
pub(crate) fn shift(image: &RgbImage, (dx, dy): (i64, i64), border: Border) -> RgbImage {
    let (width, height) = (i64::from(image.width), i64::from(image.height));
    let source = |at: i64, side: i64| match border {
        Border::Edge => Some(at.clamp(0, side - 1)),
        Border::Black => Some(at).filter(|at| (0..side).contains(at)),
    };
    let from = image.pixels.as_chunks::<3>().0;
    let mut pixels = Vec::with_capacity(image.pixels.len());
    for y in 0..height {
        let row = source(y - dy, height);
        for x in 0..width {
            let place = row.zip(source(x - dx, width)).map(|(row, column)| (row * width + column) as usize);
            pixels.extend(place.and_then(|place| from.get(place)).unwrap_or(&[0; 3]));
        }
    }
    RgbImage { pixels, ..*image }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Purpose;

    fn ramp() -> RgbImage {
        RgbImage { width: 3, height: 2, pixels: (1..=6).flat_map(|v| [v * 10; 3]).collect() }
    }

    fn levels(image: &RgbImage) -> Vec<u8> {
        image.pixels.iter().step_by(3).copied().collect()
    }

    #[test]
    fn a_shift_leaves_a_border() {
        assert_eq!(levels(&shift(&ramp(), (0, 0), Border::Black)), [10, 20, 30, 40, 50, 60]);
        assert_eq!(levels(&shift(&ramp(), (1, 0), Border::Black)), [0, 10, 20, 0, 40, 50]);
        assert_eq!(levels(&shift(&ramp(), (-2, 1), Border::Edge)), [30, 30, 30, 30, 30, 30]);
        assert_eq!(levels(&shift(&ramp(), (0, -1), Border::Black)), [40, 50, 60, 0, 0, 0]);
        assert_eq!(levels(&shift(&ramp(), (9, 0), Border::Black)), [0; 6]);
    }

    #[test]
    fn light_multiplies_and_noise_has_its_deviation() {
        let mut image = ramp();
        expose(&mut image, &mut Dice::new(0, Purpose::Finish), 5.0, 0.0);
        assert_eq!(levels(&image), [50, 100, 150, 200, 250, 255]);
        let mut image = RgbImage { width: 100, height: 100, pixels: vec![100; 30_000] };
        expose(&mut image, &mut Dice::new(0, Purpose::Finish), 1.0, 6.0);
        let levels = levels(&image);
        let mean = levels.iter().map(|v| f64::from(*v)).sum::<f64>() / 1e4;
        let deviation = (levels.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / 1e4).sqrt();
        assert!((mean - 99.5).abs() < 0.3 && (deviation - 6.0).abs() < 0.2, "{mean} {deviation}");
    }
}
