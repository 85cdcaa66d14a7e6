//! Sky, ground, trees, buildings and the road. It must not know which of them a scene has.

use super::near;
use crate::canvas::{Canvas, Rgb, shade};
use crate::dice::Dice;
use crate::facts::Road;

/// The bands of the sky's blend.
const BANDS: u32 = 24;

/// The colours of a sky.
pub(crate) struct Sky {
    top: Rgb,
    low: Rgb,
    cloud: Rgb,
}

impl Sky {
    /// A blue or a grey sky.
    pub(crate) fn new(dice: &mut Dice, grey: bool) -> Self {
        let (top, low, cloud) = if grey {
            ([150, 164, 180], [204, 210, 216], [226, 228, 232])
        } else {
            ([92, 150, 220], [190, 218, 242], [250, 250, 252])
        };
        Self { top: near(dice, top, 12.0), low: near(dice, low, 12.0), cloud }
    }

    /// Paints everything above the horizon.
    pub(crate) fn paint(&self, canvas: &mut Canvas, horizon: f64) {
        let width = canvas.width;
        for band in 0..BANDS {
            let t = f64::from(band) / f64::from(BANDS - 1);
            let colour = std::array::from_fn(|channel| {
                let (top, low) = (f64::from(self.top[channel]), f64::from(self.low[channel]));
                (top + (low - top) * t) as u8
            });
            let from = horizon * f64::from(band) / f64::from(BANDS);
            canvas.rect([0.0, from], [width, horizon + 1.0], colour);
        }
    }
}

/// One cloud.
pub(crate) fn clouds(canvas: &mut Canvas, sky: &Sky, [x, y]: [f64; 2], size: f64) {
    for (dx, dy, rx, ry) in [(-46.0, 8.0, 46.0, 26.0), (0.0, -10.0, 52.0, 36.0), (48.0, 8.0, 44.0, 26.0)] {
        canvas.ellipse([x + dx * size, y + dy * size], [rx * size, ry * size], sky.cloud);
    }
}

/// Grass or earth below the horizon.
pub(crate) fn ground(canvas: &mut Canvas, dice: &mut Dice, horizon: f64) {
    let (width, height) = (canvas.width, canvas.height);
    let kind = dice.pick([[116, 152, 84], [150, 132, 96], [136, 146, 92]]);
    let colour = near(dice, kind, 12.0);
    canvas.rect([0.0, horizon], [width, height], colour);
    for _ in 0..50 {
        let (x, y) = (dice.between(0.0, width), dice.between(horizon, height));
        let end = [x + dice.between(8.0, 30.0), y + dice.between(3.0, 8.0)];
        canvas.rect([x, y], end, shade(colour, dice.between(0.88, 1.1)));
    }
}

/// A tree whose foot is `at`, `height` units tall.
pub(crate) fn tree(canvas: &mut Canvas, dice: &mut Dice, [x, y]: [f64; 2], height: f64) {
    let green = near(dice, [44, 110, 50], 14.0);
    canvas.rect([x - 0.07 * height, y - 0.45 * height], [x + 0.07 * height, y], [96, 66, 42]);
    if dice.chance(0.5) {
        canvas.ellipse([x, y - 0.68 * height], [0.30 * height, 0.34 * height], green);
        return;
    }
    for (low, high, half, light) in [(0.30, 0.66, 0.34, 0.9), (0.50, 0.84, 0.27, 0.98), (0.70, 1.02, 0.19, 1.06)] {
        let (half, foot) = (half * height, y - low * height);
        canvas.polygon(&[[x - half, foot], [x, y - high * height], [x + half, foot]], shade(green, light));
    }
}

/// A building whose lower left corner is `at`.
pub(crate) fn building(canvas: &mut Canvas, dice: &mut Dice, [x, y]: [f64; 2], width: f64, height: f64, size: f64) {
    let kind = dice.pick([[176, 150, 128], [150, 152, 160], [188, 176, 150]]);
    let colour = near(dice, kind, 10.0);
    canvas.rect([x, y - height], [x + width, y], colour);
    let eaves = 4.0 * size;
    canvas.rect([x - eaves, y - height - 10.0 * size], [x + width + eaves, y - height], shade(colour, 0.7));
    let count = |length: f64, each: f64| ((length / (each * size)) as u32).max(2);
    let (columns, rows) = (count(width, 46.0), count(height, 52.0));
    let (w, h) = (width / f64::from(columns), height / f64::from(rows));
    for column in 0..columns {
        for row in 0..rows {
            let (left, top) = (x + (f64::from(column) + 0.28) * w, y - height + (f64::from(row) + 0.28) * h);
            canvas.rect([left, top], [left + 0.46 * w, top + 0.46 * h], [88, 104, 124]);
        }
    }
}

/// The road from `top` almost to the bottom.
pub(crate) fn road(canvas: &mut Canvas, dice: &mut Dice, road: Road, top: f64) {
    match road {
        Road::Asphalt => asphalt(canvas, dice, top),
        Road::Gravel => gravel(canvas, dice, top),
    }
}

fn asphalt(canvas: &mut Canvas, dice: &mut Dice, top: f64) {
    let (width, height) = (canvas.width, canvas.height);
    let colour = near(dice, [58, 58, 64], 8.0);
    canvas.rect([0.0, top], [width, height * 0.985], colour);
    for _ in 0..60 {
        let (x, y) = (dice.between(0.0, width), dice.between(top, height * 0.97));
        let end = [x + dice.between(10.0, 40.0), y + dice.between(2.0, 6.0)];
        canvas.rect([x, y], end, shade(colour, dice.between(0.85, 1.18)));
    }
    let y = top + dice.between(0.55, 0.7) * (height - top);
    let step = dice.between(110.0, 170.0);
    let mut x = -dice.between(0.0, 100.0);
    let marking = dice.pick([[228, 228, 228], [226, 190, 60]]);
    while x < width {
        canvas.rect([x, y], [x + step * 0.55, y + 9.0], marking);
        x += step;
    }
}

fn gravel(canvas: &mut Canvas, dice: &mut Dice, top: f64) {
    let (width, height) = (canvas.width, canvas.height);
    let colour = near(dice, [168, 152, 130], 10.0);
    canvas.rect([0.0, top], [width, height * 0.985], colour);
    for _ in 0..170 {
        let at = [dice.between(0.0, width), dice.between(top + 6.0, height * 0.97)];
        let size = dice.between(5.0, 13.0);
        canvas.ellipse(at, [size, size * 0.7], shade(colour, dice.pick([0.68, 0.8, 1.14, 1.25])));
    }
}
