//! How a picture is to be turned before it is shown, and turning it. It must not
//! know where the number was written.

use super::RgbImage;

/// The eight values of the EXIF tag, by what has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Orientation {
    /// Rows become columns, before anything is flipped.
    transposed: bool,
    /// Then left becomes right.
    flipped_x: bool,
    /// Then top becomes bottom.
    flipped_y: bool,
}

impl Orientation {
    /// From the number in the file; what is none of 1..=8 leaves the picture as it is.
    pub(super) fn new(value: u32) -> Self {
        let (transposed, flipped_x, flipped_y) = match value {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Self { transposed, flipped_x, flipped_y }
    }

    /// The turned picture.
    pub(super) fn apply(self, image: RgbImage) -> RgbImage {
        if self == Self::default() {
            return image;
        }
        let (from_width, from_height) = (image.width as usize, image.height as usize);
        let (width, height) = if self.transposed { (from_height, from_width) } else { (from_width, from_height) };
        let mut pixels = Vec::with_capacity(image.pixels.len());
        for y in 0..height {
            let y = if self.flipped_y { height - 1 - y } else { y };
            for x in 0..width {
                let x = if self.flipped_x { width - 1 - x } else { x };
                let place = if self.transposed { x * from_width + y } else { y * from_width + x };
                pixels.extend_from_slice(image.pixels.get(place * 3..place * 3 + 3).unwrap_or(&[0; 3]));
            }
        }
        RgbImage { width: width as u32, height: height as u32, pixels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of 2 x 3 pixels, 1 2 / 3 4 / 5 6.
    #[test]
    fn each_value_shows_the_picture_upright() {
        let cases: [(u32, u32, [u8; 6]); 9] = [
            (0, 2, [1, 2, 3, 4, 5, 6]),
            (1, 2, [1, 2, 3, 4, 5, 6]),
            (2, 2, [2, 1, 4, 3, 6, 5]),
            (3, 2, [6, 5, 4, 3, 2, 1]),
            (4, 2, [5, 6, 3, 4, 1, 2]),
            (5, 3, [1, 3, 5, 2, 4, 6]),
            (6, 3, [5, 3, 1, 6, 4, 2]),
            (7, 3, [6, 4, 2, 5, 3, 1]),
            (8, 3, [2, 4, 6, 1, 3, 5]),
        ];
        for (value, width, expected) in cases {
            let image = RgbImage { width: 2, height: 3, pixels: (1..=6).flat_map(|n| [n; 3]).collect() };
            let turned = Orientation::new(value).apply(image);
            assert_eq!((turned.width, turned.height), (width, 6 / width), "{value}");
            let shown: Vec<u8> = turned.pixels.iter().copied().step_by(3).collect();
            assert_eq!(shown, expected, "{value}");
        }
    }
}
