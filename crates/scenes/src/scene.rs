//! A scene as a picture: where everything stands, and how it is seen. It must not know sentences.

use engine::pixels::RgbImage;

use crate::canvas::{Bounds, Canvas, shade};
use crate::dice::{Dice, Purpose};
use crate::facts::{Facts, Vehicle, Worker};
use crate::finish::{self, Border};
use crate::mark::{Atom, Mark};
use crate::things::{self, Part, Sky, near, paint};
use crate::{Error, check_size};

/// How a scene is seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The light: levels are multiplied by it.
    pub brightness: f64,
    /// How far the picture is moved to the right and downward, in pixels of a picture of the area of 1080×810.
    pub shift: (f64, f64),
    /// What fills the place that it leaves.
    pub border: Border,
    /// Whether light and noise differ a little from scene to scene, as in a camera.
    pub grainy: bool,
}

impl View {
    /// A scene of 1080×810 pixels, plainly.
    pub const PLAIN: Self =
        Self { width: 1080, height: 810, brightness: 1.0, shift: (0.0, 0.0), border: Border::Black, grainy: false };
}

/// A picture of a scene, and where things are on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// The picture.
    pub image: RgbImage,
    /// What is where, from the back to the front.
    pub marks: Vec<Mark>,
}

/// Draws `facts`, which need not be those of `seed`; the seed decides everything else.
///
/// # Errors
/// [`Error::Size`] where the view's width and height are not within bounds.
pub fn draw(facts: &Facts, seed: u64, view: &View) -> Result<Drawing, Error> {
    let (width, height) = check_size(view.width.into(), view.height.into())?;
    let canvas = Canvas::new(width, height).ok_or(Error::Size { width: width.into(), height: height.into() })?;
    let scale = canvas.scale();
    let mut stage = Stage::new(canvas, Dice::new(seed, Purpose::Layout));
    stage.draw(facts);
    let (mut image, mut marks) = (stage.canvas.into_image(), stage.marks);
    let dice = &mut Dice::new(seed, Purpose::Finish);
    let (gain, sigma) = (dice.between(0.90, 1.06), dice.between(0.0, 6.0));
    if view.grainy {
        finish::expose(&mut image, dice, gain * view.brightness, sigma);
    } else if view.brightness != 1.0 {
        finish::expose(&mut image, dice, view.brightness, 0.0);
    }
    let (dx, dy) = ((view.shift.0 * scale).round(), (view.shift.1 * scale).round());
    for mark in &mut marks {
        mark.bounds = mark.bounds.moved_and_scaled((dx / scale, dy / scale), (scale, scale));
    }
    if (dx, dy) != (0.0, 0.0) {
        image = finish::shift(&image, (dx as i64, dy as i64), view.border);
    }
    Ok(Drawing { image, marks })
}

/// The slots in a row of workers and cones.
const FRONT_SLOTS: usize = 10;
/// The slots in a row of trees; a building takes two.
const BACK_SLOTS: usize = 6;
/// How far from the sides workers and cones stay, in units, so that a shifted picture still shows each.
const FRONT_MARGIN: f64 = 40.0;

/// A scene being put up.
struct Stage {
    canvas: Canvas,
    dice: Dice,
    marks: Vec<Mark>,
    /// Width and height of the canvas in units.
    width: f64,
    height: f64,
    /// How large things are: 1 in a picture of 4:3, less in a wider or narrower one, so that three vehicles fit.
    size: f64,
    horizon: f64,
    /// The upper edge of the road.
    kerb: f64,
}

impl Stage {
    fn new(canvas: Canvas, mut dice: Dice) -> Self {
        let (width, height) = (canvas.width, canvas.height);
        let horizon = dice.between(0.44, 0.50) * height;
        let kerb = horizon + dice.between(0.10, 0.15) * height;
        let size = (width / 1080.0).min(height / 810.0);
        Self { canvas, dice, marks: Vec::new(), width, height, size, horizon, kerb }
    }

    fn draw(&mut self, facts: &Facts) {
        self.sky(facts);
        things::ground(&mut self.canvas, &mut self.dice, self.horizon);
        self.canvas.take_bounds();
        self.background(facts);
        things::road(&mut self.canvas, &mut self.dice, facts.road, self.kerb);
        self.canvas.take_bounds();
        let bounds = Bounds { left: 0.0, top: self.kerb, right: self.width, bottom: self.height * 0.985 };
        self.marks.push(Mark { atoms: vec![Atom::Road(facts.road)], bounds });
        for place in 0..facts.vehicles.len() {
            self.vehicle(&facts.vehicles, place);
        }
        self.foreground(facts);
    }

    /// Marks everything drawn since the last mark.
    fn mark(&mut self, atoms: Vec<Atom>) {
        let bounds = self.canvas.take_bounds();
        self.marks.push(Mark { atoms, bounds });
    }

    fn sky(&mut self, facts: &Facts) {
        let grey = !facts.sun && facts.clouds && self.dice.chance(0.7);
        let sky = Sky::new(&mut self.dice, grey);
        sky.paint(&mut self.canvas, self.horizon);
        self.canvas.take_bounds();
        let mut slots = self.dice.sample(5, 5).into_iter();
        let slot = self.width / 5.0;
        if let Some(place) = slots.next().filter(|_| facts.sun) {
            let at = [(place as f64 + self.dice.between(0.3, 0.7)) * slot, self.dice.between(0.09, 0.15) * self.height];
            let radius = self.dice.between(38.0, 56.0) * self.size;
            self.canvas.ellipse(at, [radius * 1.25; 2], [255, 236, 160]);
            self.canvas.ellipse(at, [radius; 2], [255, 214, 60]);
            self.mark(vec![Atom::Sun]);
        }
        let count = if facts.clouds { 1 + self.dice.below(3) } else { 0 };
        for place in slots.take(count) {
            let x = (place as f64 + self.dice.between(0.35, 0.65)) * slot;
            let at = [x, self.dice.between(0.08, 0.18) * self.height];
            things::clouds(&mut self.canvas, &sky, at, self.dice.between(0.8, 1.2) * self.size);
            self.mark(vec![Atom::Cloud]);
        }
    }

    /// The building and the trees, in slots of their own on the horizon.
    fn background(&mut self, facts: &Facts) {
        let slot = self.width / BACK_SLOTS as f64;
        let mut free: Vec<usize> = (0..BACK_SLOTS).collect();
        if facts.building {
            let place = self.dice.below(BACK_SLOTS - 1);
            free.retain(|other| *other != place && *other != place + 1);
            let width = self.dice.between(1.3, 1.75) * slot;
            let left = place as f64 * slot + self.dice.between(0.05, 1.95 - width / slot) * slot;
            let foot = self.horizon + self.dice.between(4.0, 20.0) * self.size;
            let height = self.dice.between(150.0, 220.0) * self.size;
            things::building(&mut self.canvas, &mut self.dice, [left, foot], width, height, self.size);
            self.mark(vec![Atom::Building]);
        }
        let mut chosen = self.dice.sample(free.len(), facts.trees);
        chosen.sort_unstable();
        for (number, place) in chosen.iter().filter_map(|place| free.get(*place)).enumerate() {
            let x = (*place as f64 + self.dice.between(0.38, 0.62)) * slot;
            let foot = self.horizon + self.dice.between(8.0, 30.0) * self.size;
            let height = self.dice.between(150.0, 210.0) * self.size;
            things::tree(&mut self.canvas, &mut self.dice, [x, foot], height);
            self.mark(vec![Atom::Tree, Atom::NthTree(number)]);
        }
    }

    /// Vehicle number `place`, in the middle of its part of the width.
    fn vehicle(&mut self, all: &[Vehicle], place: usize) {
        let Some(vehicle) = all.get(place).copied() else { return };
        let (least, most) = match all.len() {
            1 => (0.95, 1.35),
            2 => (0.9, 1.2),
            _ => (0.85, 1.05),
        };
        let length = things::length(vehicle.kind) * self.dice.between(least, most) * self.size;
        let slot = self.width / all.len() as f64;
        // The heap behind a tipping truck makes it longer, on one side.
        let half = length * if vehicle.tipping { 0.75 } else { 0.58 };
        let slack = (slot / 2.0 - half).max(0.0);
        let mut x = (place as f64 + 0.5) * slot + self.dice.between(-slack, slack);
        let flipped = self.dice.chance(0.5);
        if vehicle.tipping {
            x += length * if flipped { -0.2 } else { 0.2 };
        }
        let y = self.kerb + self.dice.between(0.32, 0.50) * (self.height - self.kerb);
        let colour = near(&mut self.dice, paint(vehicle.colour), 14.0);
        let colour = shade(colour, self.dice.between(0.9, 1.05));
        let mut part = Part { canvas: &mut self.canvas, at: [x, y], length, flipped };
        things::vehicle(&mut part, vehicle, colour, &mut self.dice);
        let of_kind = |others: &[Vehicle]| others.iter().filter(|other| other.kind == vehicle.kind).count();
        let nth = Atom::NthOfKind(all.get(..place).map_or(0, of_kind));
        let mut atoms = vec![Atom::Kind(vehicle.kind), Atom::Paint(vehicle.colour), Atom::NthVehicle(place), nth];
        atoms.extend((of_kind(all) > 1).then_some(Atom::Sibling));
        atoms.extend(vehicle.tipping.then_some(Atom::Tipping));
        self.mark(atoms);
    }

    /// Cones and workers, which share a row of slots.
    fn foreground(&mut self, facts: &Facts) {
        let mut slots = self.dice.sample(FRONT_SLOTS, facts.cones + facts.workers.len());
        let mut workers = slots.split_off(facts.cones.min(slots.len()));
        slots.sort_unstable();
        workers.sort_unstable();
        for (number, slot) in slots.into_iter().enumerate() {
            let at = self.front(slot, 0.90, 0.975);
            let height = self.dice.between(64.0, 84.0) * self.size;
            things::cone(&mut self.canvas, at, height);
            self.mark(vec![Atom::Cone, Atom::NthCone(number)]);
        }
        for (number, (slot, worker)) in workers.into_iter().zip(&facts.workers).enumerate() {
            let at = self.front(slot, 0.90, 0.97);
            let height = self.dice.between(165.0, 205.0) * self.size;
            let Worker { helmet, overalls } = *worker;
            let shell = near(&mut self.dice, paint(helmet), 12.0);
            let cloth = near(&mut self.dice, paint(overalls), 12.0);
            things::worker(&mut self.canvas, at, height, shell, cloth);
            self.mark(vec![Atom::Worker, Atom::Helmet(helmet), Atom::Overalls(overalls), Atom::NthWorker(number)]);
        }
    }

    /// A place on the ground in a slot of the front row, between two parts of the height.
    fn front(&mut self, slot: usize, least: f64, most: f64) -> [f64; 2] {
        let margin = FRONT_MARGIN * self.size;
        let part = (slot as f64 + self.dice.between(0.38, 0.62)) / FRONT_SLOTS as f64;
        [margin + part * (self.width - 2.0 * margin), self.dice.between(least, most) * self.height]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stands_within_the_picture_at_every_aspect() {
        for (width, height) in [(448, 336), (504, 284), (388, 388), (549, 274), (336, 448), (238, 714)] {
            for seed in 0..40 {
                let facts = Facts::of(seed);
                let drawing = draw(&facts, seed, &View { width, height, ..View::PLAIN }).unwrap();
                assert_eq!((drawing.image.width, drawing.image.height), (width, height));
                assert_eq!(drawing.image.pixels.len(), (width * height * 3) as usize);
                let counts = [facts.trees, facts.cones, facts.workers.len()];
                for (atom, count) in [Atom::Tree, Atom::Cone, Atom::Worker].into_iter().zip(counts) {
                    let marks = drawing.marks.iter().filter(|mark| mark.atoms.contains(&atom)).count();
                    assert_eq!(marks, count, "{seed} {atom:?}");
                }
                for mark in &drawing.marks {
                    let Bounds { left, top, right, bottom } = mark.bounds;
                    assert!(left >= 0.0 && top >= 0.0 && right <= f64::from(width) + 1e-6, "{seed} {mark:?}");
                    assert!(bottom <= f64::from(height) + 1e-6 && mark.bounds.area() > 30.0, "{seed} {mark:?}");
                }
            }
        }
    }

    #[test]
    fn vehicles_of_one_kind_are_numbered_and_known_as_siblings() {
        let mut siblings_seen = 0;
        for seed in 0..200 {
            let facts = Facts::of(seed);
            let drawing = draw(&facts, seed, &View { width: 200, height: 150, ..View::PLAIN }).unwrap();
            for (place, vehicle) in facts.vehicles.iter().enumerate() {
                let of_kind: Vec<usize> =
                    (0..facts.vehicles.len()).filter(|other| facts.vehicles[*other].kind == vehicle.kind).collect();
                let nth = of_kind.iter().position(|other| *other == place).unwrap();
                let mark = drawing.marks.iter().find(|mark| mark.atoms.contains(&Atom::NthVehicle(place))).unwrap();
                assert!(mark.atoms.contains(&Atom::NthOfKind(nth)), "{seed} {mark:?}");
                assert_eq!(mark.atoms.contains(&Atom::Sibling), of_kind.len() > 1, "{seed} {mark:?}");
                siblings_seen += usize::from(of_kind.len() > 1);
            }
        }
        assert!(siblings_seen > 50, "{siblings_seen}");
    }

    #[test]
    fn vehicles_and_workers_stand_in_the_order_of_the_facts() {
        for seed in 0..200 {
            let facts = Facts::of(seed);
            let drawing = draw(&facts, seed, &View { width: 200, height: 150, ..View::PLAIN }).unwrap();
            for nth in [Atom::NthVehicle, Atom::NthWorker, Atom::NthTree, Atom::NthCone] {
                let middle = |place| {
                    let mark = drawing.marks.iter().find(|mark| mark.atoms.contains(&nth(place)))?;
                    Some(mark.bounds.left + mark.bounds.right)
                };
                let middles: Vec<f64> = (0..4).map_while(middle).collect();
                assert!(middles.is_sorted(), "{seed} {middles:?}");
            }
        }
    }

    #[test]
    fn a_shift_moves_marks_and_light_does_not() {
        let facts = Facts::of(5);
        let plain = draw(&facts, 5, &View::PLAIN).unwrap();
        let view = View { shift: (30.0, -20.0), brightness: 0.5, ..View::PLAIN };
        let moved = draw(&facts, 5, &view).unwrap();
        for (one, other) in plain.marks.iter().zip(&moved.marks) {
            assert!((other.bounds.left - one.bounds.left - 30.0).abs() < 1e-9);
            assert!((other.bounds.bottom - one.bounds.bottom + 20.0).abs() < 1e-9);
        }
        let pixel = |drawing: &Drawing, x: usize, y: usize| drawing.image.pixels[(y * 1080 + x) * 3..][..3].to_vec();
        let halved: Vec<u8> = pixel(&plain, 500, 400).iter().map(|level| level / 2).collect();
        assert_eq!(pixel(&moved, 530, 380), halved);
        assert_eq!(pixel(&moved, 29, 100), [0; 3]);
    }

    #[test]
    fn the_pixels_of_a_seed_never_change() {
        // FNV-1a (64 bits) over the pixels.
        let hash = |pixels: &[u8]| {
            let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            pixels.iter().fold(0xcbf2_9ce4_8422_2325, step)
        };
        let hashes = [4, 11, 18].map(|seed| {
            let view = View { grainy: true, brightness: 0.8, width: 320, height: 240, ..View::PLAIN };
            hash(&draw(&Facts::of(seed), seed, &view).unwrap().image.pixels)
        });
        assert_eq!(hashes, [8_183_552_689_303_685_490, 11_958_271_450_844_565_441, 8_306_149_516_309_110_798]);
    }
}
