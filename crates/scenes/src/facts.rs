//! What is in a scene, and how it is chosen from a seed. It must not know pictures or sentences.

use serde::{Deserialize, Serialize};

use crate::dice::{Dice, Purpose};

/// A kind of vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A dump truck.
    Truck,
    /// An excavator.
    Excavator,
    /// A road roller.
    Roller,
    /// A car.
    Car,
    /// A bulldozer.
    Bulldozer,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Truck, Self::Excavator, Self::Roller, Self::Car, Self::Bulldozer];
}

/// A colour of a vehicle, a helmet or overalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "their names say it")]
pub enum Colour {
    Yellow,
    Red,
    Blue,
    Green,
    White,
    Orange,
}

impl Colour {
    /// All colours.
    pub const ALL: [Self; 6] = [Self::Yellow, Self::Red, Self::Blue, Self::Green, Self::White, Self::Orange];
    /// The colours of vehicles.
    pub const OF_VEHICLES: [Self; 5] = [Self::Yellow, Self::Red, Self::Blue, Self::Green, Self::White];
    /// The colours of helmets.
    pub const OF_HELMETS: [Self; 4] = [Self::Yellow, Self::Red, Self::Blue, Self::White];
    /// The colours of overalls.
    pub const OF_OVERALLS: [Self; 3] = [Self::Orange, Self::Blue, Self::Green];
}

/// What the road is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "their names say it")]
pub enum Road {
    Asphalt,
    Gravel,
}

/// One vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vehicle {
    /// What it is.
    pub kind: Kind,
    /// Its colour, one of [`Colour::OF_VEHICLES`].
    pub colour: Colour,
    /// Whether it is a dump truck that tips its load.
    pub tipping: bool,
}

/// One worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// The colour of the helmet, one of [`Colour::OF_HELMETS`].
    pub helmet: Colour,
    /// The colour of the overalls, one of [`Colour::OF_OVERALLS`].
    pub overalls: Colour,
}

/// Everything that a sentence may say of a scene.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// At most [`VEHICLES_MAX`], from left to right.
    pub vehicles: Vec<Vehicle>,
    /// At most [`WORKERS_MAX`], from left to right.
    pub workers: Vec<Worker>,
    /// Number of trees, at most [`TREES_MAX`].
    pub trees: usize,
    /// Whether there is a building.
    pub building: bool,
    /// Number of cones, at most [`CONES_MAX`].
    pub cones: usize,
    /// The surface of the road.
    pub road: Road,
    /// Whether the sun is to be seen.
    pub sun: bool,
    /// Whether clouds are to be seen.
    pub clouds: bool,
}

/// Most vehicles of a scene.
pub const VEHICLES_MAX: usize = 3;
/// Most workers of a scene.
pub const WORKERS_MAX: usize = 2;
/// Most trees of a scene.
pub const TREES_MAX: usize = 3;
/// Most cones of a scene.
pub const CONES_MAX: usize = 4;

/// Of scenes with several vehicles, the part in which one is made the kind of the first: questions such as "what
/// colour is the car?" are the hardest where there are two.
const SAME_KIND_PART: f64 = 0.3;

impl Facts {
    /// The facts of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let dice = &mut Dice::new(seed, Purpose::Facts);
        let vehicles = vehicles(dice);
        let workers = (0..dice.weighted([0.32, 0.44, 0.24]))
            .map(|_| Worker { helmet: dice.pick(Colour::OF_HELMETS), overalls: dice.pick(Colour::OF_OVERALLS) })
            .collect();
        let (sun, clouds) =
            [(true, false), (false, true), (true, true), (false, false)][dice.weighted([0.3, 0.3, 0.2, 0.2])];
        Self {
            vehicles,
            workers,
            trees: dice.below(TREES_MAX + 1),
            building: dice.chance(0.5),
            cones: dice.weighted([0.3, 0.15, 0.2, 0.2, 0.15]),
            road: dice.pick([Road::Asphalt, Road::Gravel]),
            sun,
            clouds,
        }
    }
}

fn vehicles(dice: &mut Dice) -> Vec<Vehicle> {
    let count = dice.weighted([0.04, 0.36, 0.36, 0.24]);
    let mut kinds: Vec<Kind> = (0..count).map(|_| Kind::ALL[dice.weighted([0.28, 0.20, 0.18, 0.17, 0.17])]).collect();
    if let [first, others @ ..] = kinds.as_mut_slice()
        && dice.chance(SAME_KIND_PART)
    {
        let place = dice.below(others.len());
        others.iter_mut().skip(place).take(1).for_each(|kind| *kind = *first);
    }
    let vehicle = |kind| Vehicle {
        kind,
        colour: dice.pick(Colour::OF_VEHICLES),
        tipping: dice.chance(0.45) && kind == Kind::Truck,
    };
    kinds.into_iter().map(vehicle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_is_within_its_bounds_and_none_is_rare() {
        let scenes: Vec<Facts> = (0..4000).map(Facts::of).collect();
        let part = |is: &dyn Fn(&Facts) -> bool| scenes.iter().filter(|f| is(f)).count() as f64 / 4000.0;
        for facts in &scenes {
            assert!(facts.vehicles.len() <= VEHICLES_MAX && facts.workers.len() <= WORKERS_MAX);
            assert!(facts.trees <= TREES_MAX && facts.cones <= CONES_MAX);
            assert!(facts.vehicles.iter().all(|v| v.kind == Kind::Truck || !v.tipping));
            assert!(facts.vehicles.iter().all(|v| v.colour != Colour::Orange));
        }
        for kind in Kind::ALL {
            assert!(part(&|f| f.vehicles.iter().any(|v| v.kind == kind)) > 0.2, "{kind:?}");
        }
        assert!(part(&|f| f.vehicles.iter().any(|v| v.tipping)) > 0.15);
        let pairs =
            part(&|f| f.vehicles.iter().enumerate().any(|(i, v)| f.vehicles[..i].iter().any(|u| u.kind == v.kind)));
        assert!(pairs > 0.25, "{pairs}");
        for cones in 0..=CONES_MAX {
            assert!(part(&|f| f.cones == cones) > 0.1);
        }
    }

    #[test]
    fn facts_are_read_back_from_json() {
        let facts = Facts::of(12);
        let text = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
    }
}
