//! The brushes of the synthetic pictures: eight-bit RGB samples, row by row, from a random generator.
//!
//! Only +, −, ×, ÷ and square roots are used, which IEEE 754 rounds alike everywhere, so that a seed gives the
//! same picture on every machine. It must not know file formats.

use rand::{Rng, RngCore};

type Colour = [f32; 3];

/// Uniform random samples.
pub(super) fn noise(rng: &mut impl RngCore, (width, height): (u32, u32)) -> Vec<u8> {
    let mut samples = vec![0; width as usize * height as usize * 3];
    rng.fill_bytes(&mut samples);
    samples
}

/// A bilinear blend of four random corner colours.
pub(super) fn gradient(rng: &mut impl RngCore, size: (u32, u32)) -> Vec<u8> {
    let field = Field::random(rng, 2, 2, 255.0);
    let mut samples = Vec::with_capacity(size.0 as usize * size.1 as usize * 3);
    let mut row = vec![[0.0; 3]; size.0 as usize];
    for y in 0..size.1 {
        row.fill([0.0; 3]);
        field.add_row(&mut row, part(y, size.1), |t| t);
        samples.extend(row.as_flattened().iter().map(|value| *value as u8));
    }
    samples
}

/// Smooth fields of three finenesses, shapes laid over them, and grain.
pub(super) fn photo(rng: &mut impl RngCore, size: (u32, u32)) -> Vec<u8> {
    let fields = [(4, 3, 150.0), (9, 7, 70.0), (41, 31, 35.0)].map(|(c, r, range)| Field::random(rng, c, r, range));
    let shapes: Vec<Shape> = (0..36).map(|_| Shape::random(rng, size)).collect();
    let width = size.0 as usize;
    let mut samples = Vec::with_capacity(width * size.1 as usize * 3);
    let mut row = vec![[0.0; 3]; width];
    let mut grain = vec![0; width * 3];
    for y in 0..size.1 {
        row.fill([0.0; 3]);
        for field in &fields {
            field.add_row(&mut row, part(y, size.1), smooth);
        }
        for shape in &shapes {
            shape.paint_row(&mut row, y as f32);
        }
        rng.fill_bytes(&mut grain);
        let pairs = row.as_flattened().iter().zip(&grain);
        // Two draws of 0 to 7 each: a triangle 14 wide, a deviation of 3.2, about that of a camera in daylight.
        samples.extend(pairs.map(|(value, draw)| (*value + f32::from((draw & 7) + (draw >> 5)) - 7.0) as u8));
    }
    samples
}

/// Where `index` of `count` lies between 0 and 1.
fn part(index: u32, count: u32) -> f32 {
    index as f32 / count.saturating_sub(1).max(1) as f32
}

fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

fn blend(a: Colour, b: Colour, t: f32) -> Colour {
    std::array::from_fn(|channel| a[channel] + (b[channel] - a[channel]) * t)
}

fn colour(rng: &mut impl RngCore, range: f32) -> Colour {
    std::array::from_fn(|_| rng.random::<f32>() * range)
}

/// Random colours at the knots of a grid, and between them a blend.
struct Field {
    columns: usize,
    knots: Vec<Colour>,
}

impl Field {
    fn random(rng: &mut impl RngCore, columns: usize, rows: usize, range: f32) -> Self {
        Self { columns, knots: (0..columns * rows).map(|_| colour(rng, range)).collect() }
    }

    /// Adds the row at `v` (0 top, 1 bottom); `ease` bends the way from knot to knot.
    fn add_row(&self, row: &mut [Colour], v: f32, ease: fn(f32) -> f32) {
        let rows = self.knots.len() / self.columns;
        let (upper, t) = knot(v, rows);
        let line = |index: usize| self.knots.iter().skip(index * self.columns).take(self.columns);
        let knots: Vec<Colour> = line(upper).zip(line(upper + 1)).map(|(a, b)| blend(*a, *b, ease(t))).collect();
        let last = row.len().saturating_sub(1).max(1) as f32;
        for (x, pixel) in row.iter_mut().enumerate() {
            let (left, t) = knot(x as f32 / last, self.columns);
            if let Some([a, b]) = knots.get(left..left + 2) {
                let mixed = blend(*a, *b, ease(t));
                *pixel = std::array::from_fn(|channel| pixel[channel] + mixed[channel]);
            }
        }
    }
}

/// The knot before `at` (0 to 1) of `count` knots, at most the last but one, and the part of the way to the next.
fn knot(at: f32, count: usize) -> (usize, f32) {
    let place = at * (count - 1) as f32;
    let index = (place as usize).min(count - 2);
    (index, place - index as f32)
}

/// An ellipse or a box, with an edge, a colour that shines through and stripes.
struct Shape {
    is_ellipse: bool,
    centre: (f32, f32),
    radius: (f32, f32),
    colour: Colour,
    opacity: f32,
    /// Width in pixels of a light or dark stripe.
    stripe: usize,
    contrast: f32,
}

impl Shape {
    fn random(rng: &mut impl RngCore, (width, height): (u32, u32)) -> Self {
        let (width, height) = (width as f32, height as f32);
        Self {
            is_ellipse: rng.random(),
            centre: (rng.random::<f32>() * width, rng.random::<f32>() * height),
            radius: ((0.01 + 0.14 * rng.random::<f32>()) * width, (0.01 + 0.14 * rng.random::<f32>()) * height),
            colour: colour(rng, 240.0),
            opacity: 0.3 + 0.6 * rng.random::<f32>(),
            stripe: rng.random_range(2..24),
            contrast: 30.0 * rng.random::<f32>(),
        }
    }

    fn paint_row(&self, row: &mut [Colour], y: f32) {
        let dy = (y - self.centre.1) / self.radius.1;
        if dy * dy > 1.0 {
            return;
        }
        let half = self.radius.0 * if self.is_ellipse { (1.0 - dy * dy).sqrt() } else { 1.0 };
        // Casts to whole numbers stop at 0 and at the greatest.
        let start = (self.centre.0 - half) as usize;
        let end = ((self.centre.0 + half) as usize).min(row.len());
        for (x, pixel) in row.iter_mut().enumerate().take(end).skip(start) {
            let light = if (x / self.stripe).is_multiple_of(2) { self.contrast } else { 0.0 };
            *pixel = blend(*pixel, self.colour.map(|value| value + light), self.opacity);
        }
    }
}
