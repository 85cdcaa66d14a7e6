//! How each thing looks. It must not know which of them a scene has, nor where they stand.

mod backdrop;
mod foreground;
mod vehicles;

pub(crate) use backdrop::{Sky, building, clouds, ground, road, tree};
pub(crate) use foreground::{cone, worker};
pub(crate) use vehicles::{draw as vehicle, length};

use crate::canvas::{Canvas, Rgb};
use crate::dice::Dice;
use crate::facts::Colour;

const DARK: Rgb = [44, 44, 48];
const TYRE: Rgb = [30, 30, 32];
const GLASS: Rgb = [150, 190, 210];
const STEEL: Rgb = [120, 122, 128];
const RUBBLE: Rgb = [128, 112, 96];

/// The paint of a colour's name.
pub(crate) fn paint(colour: Colour) -> Rgb {
    match colour {
        Colour::Yellow => [238, 198, 38],
        Colour::Red => [204, 40, 38],
        Colour::Blue => [44, 92, 204],
        Colour::Green => [44, 146, 66],
        Colour::White => [238, 238, 236],
        Colour::Orange => [242, 124, 28],
    }
}

/// A colour near another one: each level up to `reach` more or less.
pub(crate) fn near(dice: &mut Dice, colour: Rgb, reach: f64) -> Rgb {
    colour.map(|level| (f64::from(level) + dice.between(-reach, reach)) as u8)
}

/// The canvas in the coordinates of one vehicle: x from -0.5 (tail) to 0.5 (front), y upward from the ground, both in
/// lengths of the vehicle.
pub(crate) struct Part<'a> {
    pub(crate) canvas: &'a mut Canvas,
    /// The middle of the vehicle on the ground, in units.
    pub(crate) at: [f64; 2],
    /// Length in units.
    pub(crate) length: f64,
    /// Whether its front is on the left.
    pub(crate) flipped: bool,
}

impl Part<'_> {
    fn place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let x = if self.flipped { -x } else { x };
        [self.at[0] + x * self.length, self.at[1] - y * self.length]
    }

    fn rect(&mut self, low: [f64; 2], high: [f64; 2], colour: Rgb) {
        let (low, high) = (self.place(low), self.place(high));
        self.canvas.rect(low, high, colour);
    }

    fn polygon<const N: usize>(&mut self, corners: [[f64; 2]; N], colour: Rgb) {
        let corners = corners.map(|corner| self.place(corner));
        self.canvas.polygon(&corners, colour);
    }

    fn circle(&mut self, centre: [f64; 2], radius: f64, colour: Rgb) {
        self.canvas.ellipse(self.place(centre), [radius * self.length; 2], colour);
    }

    fn bar(&mut self, from: [f64; 2], to: [f64; 2], thickness: f64, colour: Rgb) {
        self.canvas.bar(self.place(from), self.place(to), thickness * self.length, colour);
    }
}
