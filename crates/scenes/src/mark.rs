//! What is marked in a picture: a box and the names of what it shows, from which a model in training learns what each
//! part of the picture is. It must not know how things are drawn.

use crate::canvas::Bounds;
use crate::facts::{CONES_MAX, Colour, Kind, Road, TREES_MAX, VEHICLES_MAX, WORKERS_MAX};

/// One property of what is seen at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Atom {
    Sun,
    Cloud,
    Building,
    Tree,
    Cone,
    Worker,
    Tipping,
    Road(Road),
    Kind(Kind),
    Paint(Colour),
    Helmet(Colour),
    Overalls(Colour),
    /// The which-th vehicle from the left, from 0; the others alike.
    NthVehicle(usize),
    /// The which-th of its kind of vehicle from the left, from 0: "what colour are the cars?" lists them so.
    NthOfKind(usize),
    /// A vehicle with another of its kind in the scene.
    Sibling,
    NthWorker(usize),
    NthTree(usize),
    NthCone(usize),
}

impl Atom {
    /// All of them, each at the place that is its number in a training pool.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Sun, Self::Cloud, Self::Building, Self::Tree, Self::Cone, Self::Worker, Self::Tipping];
        all.extend([Road::Asphalt, Road::Gravel].map(Self::Road));
        all.extend(Kind::ALL.map(Self::Kind));
        all.extend(Colour::OF_VEHICLES.map(Self::Paint));
        all.extend(Colour::OF_HELMETS.map(Self::Helmet));
        all.extend(Colour::OF_OVERALLS.map(Self::Overalls));
        all.extend((0..VEHICLES_MAX).map(Self::NthVehicle));
        all.extend((0..WORKERS_MAX).map(Self::NthWorker));
        all.extend((0..TREES_MAX).map(Self::NthTree));
        all.extend((0..CONES_MAX).map(Self::NthCone));
        all.extend((0..VEHICLES_MAX).map(Self::NthOfKind));
        all.push(Self::Sibling);
        all
    }

    /// Its name in a training pool.
    #[must_use]
    pub fn name(self) -> String {
        let lower = |name: &dyn std::fmt::Debug| format!("{name:?}").to_lowercase();
        match self {
            Self::Road(road) => lower(&road),
            Self::Kind(kind) => lower(&kind),
            Self::Paint(colour) => format!("v:{}", lower(&colour)),
            Self::Helmet(colour) => format!("h:{}", lower(&colour)),
            Self::Overalls(colour) => format!("o:{}", lower(&colour)),
            Self::NthVehicle(place) => format!("veh#{place}"),
            Self::NthOfKind(place) => format!("kind#{place}"),
            Self::NthWorker(place) => format!("wrk#{place}"),
            Self::NthTree(place) => format!("tree#{place}"),
            Self::NthCone(place) => format!("cone#{place}"),
            plain => lower(&plain),
        }
    }
}

/// A box and what it shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// What is seen there.
    pub atoms: Vec<Atom>,
    /// Where, in pixels of the picture.
    pub bounds: Bounds,
}

/// Side of a cell of the vision tower, in pixels: a merged token of Qwen2-VL.
pub(crate) const CELL: u32 = 28;

/// For each cell of a picture of `width` x `height` pixels, row by row, the numbers of what it shows: a thing whose box
/// covers a fifth of the cell, or has a fifth of itself in it. `marks` are in pixels of this picture.
pub(crate) fn cells(marks: &[Mark], width: u32, height: u32) -> Vec<Vec<usize>> {
    let all = Atom::all();
    let whole = Bounds { left: 0.0, top: 0.0, right: width.into(), bottom: height.into() };
    let side = f64::from(CELL);
    let mut cells = Vec::new();
    for row in 0..height / CELL {
        for column in 0..width / CELL {
            let (left, top) = (f64::from(column * CELL), f64::from(row * CELL));
            let cell = Bounds { left, top, right: left + side, bottom: top + side };
            let shown = |mark: &&Mark| {
                let seen = mark.bounds.within(whole);
                seen.area() > 0.0 && seen.within(cell).area() >= 0.2 * seen.area().min(side * side)
            };
            let atoms = marks.iter().filter(shown).flat_map(|mark| &mark.atoms);
            let mut numbers: Vec<usize> = atoms.filter_map(|atom| all.iter().position(|other| other == atom)).collect();
            numbers.sort_unstable();
            numbers.dedup();
            cells.push(numbers);
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_pool() {
        let names: Vec<String> = Atom::all().into_iter().map(Atom::name).collect();
        assert_eq!(
            names.join(" "),
            "sun cloud building tree cone worker tipping asphalt gravel truck excavator roller car bulldozer v:yellow \
             v:red v:blue v:green v:white h:yellow h:red h:blue h:white o:orange o:blue o:green veh#0 veh#1 veh#2 wrk#0 \
             wrk#1 tree#0 tree#1 tree#2 cone#0 cone#1 cone#2 cone#3 kind#0 kind#1 kind#2 sibling"
        );
    }

    #[test]
    fn a_cell_shows_what_covers_a_fifth_of_it_or_has_a_fifth_there() {
        let mark = |left: f64, top, right, bottom| Mark {
            atoms: vec![Atom::Cone, Atom::NthCone(1)],
            bounds: Bounds { left, top, right, bottom },
        };
        let check = |mark, wanted: [usize; 4]| {
            let counts: Vec<usize> = cells(&[mark], 56, 56).iter().map(Vec::len).collect();
            assert_eq!(counts, wanted);
        };
        check(mark(1.0, 1.0, 9.0, 9.0), [2, 0, 0, 0]);
        // Half of it in each of two cells.
        check(mark(24.0, 1.0, 32.0, 9.0), [2, 2, 0, 0]);
        // A tenth of it in the right cell.
        check(mark(10.0, 1.0, 30.0, 9.0), [2, 0, 0, 0]);
        check(mark(0.0, 0.0, 56.0, 56.0), [2, 2, 2, 2]);
        // Outside of the picture.
        check(mark(-20.0, 1.0, -1.0, 9.0), [0, 0, 0, 0]);
        // What is left of it within the picture counts as the whole.
        check(mark(-90.0, 1.0, 4.0, 9.0), [2, 0, 0, 0]);
    }
}
