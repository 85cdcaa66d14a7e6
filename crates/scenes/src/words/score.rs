//! What a description says against what is true, fact by fact, for tests.

use super::Told;
use crate::facts::{Facts, Kind};

/// Every fact of a scene, by the group it is counted in, and whether it was told right. Facts that were told and are not
/// there show in the counts.
pub(super) fn score(told: &Told, facts: &Facts) -> Vec<(&'static str, bool)> {
    let count = facts.vehicles.len();
    let mut out = vec![("vehicle count", told.vehicle_count == Some(count) && told.vehicles.len() == count)];
    for (place, vehicle) in facts.vehicles.iter().enumerate() {
        let said = told.vehicles.get(place);
        out.push(("vehicle kind", said.is_some_and(|said| said.kind == vehicle.kind)));
        out.push(("vehicle colour", said.is_some_and(|said| said.colour == vehicle.colour)));
        if vehicle.kind == Kind::Truck {
            out.push(("tipping", said.is_some_and(|said| said.tipping == vehicle.tipping)));
        }
    }
    out.push(("worker count", told.workers.len() == facts.workers.len()));
    for (place, worker) in facts.workers.iter().enumerate() {
        let said = told.workers.get(place);
        out.push(("helmet colour", said.is_some_and(|said| said.helmet == worker.helmet)));
        out.push(("overalls colour", said.is_some_and(|said| said.overalls == worker.overalls)));
    }
    out.extend([
        ("road", told.road == Some(facts.road)),
        ("cones", told.cones == Some(facts.cones)),
        ("trees", told.trees == Some(facts.trees)),
        ("building", told.building == Some(facts.building)),
        ("sun", told.sun == Some(facts.sun)),
        ("clouds", told.clouds == Some(facts.clouds)),
    ]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Language, describe, parse};

    #[test]
    fn the_description_of_another_scene_is_partly_wrong() {
        let wrong = |seed: u64| {
            let text = describe(&Facts::of(seed), Language::English, None);
            score(&parse(&text), &Facts::of(seed + 1)).into_iter().filter(|(_, right)| !right).count()
        };
        assert!((0..200).map(wrong).filter(|count| *count == 0).count() <= 1);
    }

    #[test]
    fn nothing_told_is_nothing_right_but_that_nobody_is_there() {
        let facts = Facts::of(9);
        let right: Vec<_> = score(&Told::default(), &facts).into_iter().filter(|(_, right)| *right).collect();
        assert_eq!(right.is_empty(), !facts.workers.is_empty(), "{right:?}");
    }
}
