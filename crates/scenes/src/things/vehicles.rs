//! The five vehicles, seen from the right side. It must not know where they stand.

use super::{DARK, GLASS, Part, RUBBLE, STEEL, TYRE};
use crate::canvas::{Rgb, shade};
use crate::dice::Dice;
use crate::facts::{Kind, Vehicle};

/// The usual length of a vehicle, in units.
pub(crate) fn length(kind: Kind) -> f64 {
    match kind {
        Kind::Truck => 300.0,
        Kind::Excavator => 250.0,
        Kind::Roller => 230.0,
        Kind::Car => 240.0,
        Kind::Bulldozer => 245.0,
    }
}

/// Draws one; its paint is `colour`.
pub(crate) fn draw(part: &mut Part<'_>, vehicle: Vehicle, colour: Rgb, dice: &mut Dice) {
    match vehicle.kind {
        Kind::Truck => truck(part, colour, vehicle.tipping),
        Kind::Excavator => excavator(part, colour, dice.between(-0.06, 0.06)),
        Kind::Roller => roller(part, colour),
        Kind::Car => car(part, colour),
        Kind::Bulldozer => bulldozer(part, colour),
    }
}

fn wheel(part: &mut Part<'_>, x: f64, radius: f64) {
    part.circle([x, radius], radius, TYRE);
    part.circle([x, radius], radius * 0.45, STEEL);
}

fn truck(part: &mut Part<'_>, colour: Rgb, tipping: bool) {
    let bed = shade(colour, 0.88);
    part.rect([-0.46, 0.12], [0.46, 0.19], DARK);
    part.polygon([[0.22, 0.16], [0.22, 0.52], [0.40, 0.52], [0.48, 0.36], [0.48, 0.16]], colour);
    part.polygon([[0.28, 0.34], [0.28, 0.48], [0.39, 0.48], [0.45, 0.34]], GLASS);
    if tipping {
        part.polygon([[-0.44, 0.20], [-0.56, 0.42], [0.02, 0.74], [0.16, 0.50]], bed);
        part.bar([-0.02, 0.20], [0.02, 0.46], 0.04, STEEL);
        // What falls, and the heap of it.
        part.polygon([[-0.44, 0.22], [-0.58, 0.40], [-0.66, 0.16], [-0.54, 0.10]], RUBBLE);
        part.polygon([[-0.88, 0.0], [-0.66, 0.22], [-0.58, 0.22], [-0.42, 0.0]], RUBBLE);
    } else {
        part.polygon([[-0.50, 0.48], [-0.44, 0.20], [0.16, 0.20], [0.18, 0.48]], bed);
        part.polygon([[-0.46, 0.48], [-0.30, 0.56], [0.0, 0.56], [0.15, 0.48]], RUBBLE);
    }
    [-0.33, -0.14, 0.34].into_iter().for_each(|x| wheel(part, x, 0.095));
}

/// `lift`: how much higher than usual the arm is held.
fn excavator(part: &mut Part<'_>, colour: Rgb, lift: f64) {
    let arm = shade(colour, 0.92);
    part.rect([-0.40, 0.02], [0.22, 0.17], TYRE);
    [-0.40, 0.22].into_iter().for_each(|x| part.circle([x, 0.095], 0.075, TYRE));
    [-0.34, -0.19, -0.04, 0.12].into_iter().for_each(|x| part.circle([x, 0.09], 0.04, STEEL));
    part.rect([-0.16, 0.16], [0.0, 0.22], DARK);
    part.rect([-0.42, 0.22], [0.14, 0.44], colour);
    part.rect([-0.08, 0.44], [0.14, 0.64], colour);
    part.rect([-0.04, 0.46], [0.11, 0.60], GLASS);
    part.bar([0.10, 0.34], [0.34, 0.84 + lift], 0.10, arm);
    part.bar([0.33, 0.84 + lift], [0.56, 0.36 + lift], 0.075, arm);
    let bucket = [[0.50, 0.38], [0.62, 0.36], [0.58, 0.14], [0.42, 0.16]];
    part.polygon(bucket.map(|[x, y]| [x, y + lift]), DARK);
}

fn roller(part: &mut Part<'_>, colour: Rgb) {
    part.circle([0.30, 0.20], 0.20, STEEL);
    part.circle([0.30, 0.20], 0.13, shade(STEEL, 0.75));
    part.circle([-0.30, 0.17], 0.17, TYRE);
    part.circle([-0.30, 0.17], 0.07, STEEL);
    part.polygon([[-0.44, 0.24], [-0.44, 0.44], [0.04, 0.44], [0.12, 0.28], [0.12, 0.22]], colour);
    part.bar([0.08, 0.30], [0.34, 0.26], 0.08, colour);
    [-0.32, 0.0].into_iter().for_each(|x| part.bar([x, 0.42], [x, 0.72], 0.03, DARK));
    part.rect([-0.40, 0.70], [0.08, 0.77], colour);
}

fn car(part: &mut Part<'_>, colour: Rgb) {
    part.polygon([[-0.50, 0.10], [-0.50, 0.26], [-0.34, 0.28], [0.36, 0.28], [0.50, 0.22], [0.50, 0.10]], colour);
    part.polygon([[-0.36, 0.27], [-0.24, 0.44], [0.14, 0.44], [0.32, 0.27]], colour);
    part.polygon([[-0.30, 0.28], [-0.21, 0.41], [-0.06, 0.41], [-0.06, 0.28]], GLASS);
    part.polygon([[-0.02, 0.28], [-0.02, 0.41], [0.12, 0.41], [0.25, 0.28]], GLASS);
    [-0.30, 0.30].into_iter().for_each(|x| wheel(part, x, 0.10));
}

fn bulldozer(part: &mut Part<'_>, colour: Rgb) {
    part.rect([-0.36, 0.02], [0.22, 0.22], TYRE);
    [-0.36, 0.22].into_iter().for_each(|x| part.circle([x, 0.12], 0.10, TYRE));
    [-0.30, -0.08, 0.14].into_iter().for_each(|x| part.circle([x, 0.11], 0.05, STEEL));
    part.rect([-0.36, 0.22], [0.26, 0.42], colour);
    part.rect([-0.36, 0.42], [-0.06, 0.68], colour);
    part.rect([-0.31, 0.46], [-0.10, 0.62], GLASS);
    part.bar([0.16, 0.14], [0.42, 0.14], 0.05, DARK);
    let blade = [[0.40, 0.0], [0.46, 0.18], [0.40, 0.38], [0.50, 0.38], [0.56, 0.18], [0.52, 0.0]];
    part.polygon(blade, STEEL);
}
