//! The facts of a scene as phrases that a right description holds, in the form that the client grades any answer by.

use serde::Serialize;

use super::{Language, chinese, english};
use crate::facts::{Colour, Facts, Kind, Road, Vehicle, Worker};

/// One fact: an answer that is right about it holds one of `any` and none of `none`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// The group that it is counted in.
    pub fact: &'static str,
    /// Phrases of which one is in a right answer.
    pub any: Vec<String>,
    /// Phrases of which none is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub none: Vec<String>,
}

/// What a right description in a language holds.
#[must_use]
pub fn expected(facts: &Facts, language: Language) -> Vec<Expected> {
    let words: &dyn Words = match language {
        Language::Chinese => &Chinese,
        Language::English => &English,
    };
    let mut out = vec![is("vehicle count", [words.vehicles(facts.vehicles.len())])];
    for (place, vehicle) in facts.vehicles.iter().enumerate() {
        about_vehicle(words, words.vehicle_at(place, facts.vehicles.len()), *vehicle, &mut out);
    }
    out.push(is("worker count", [words.workers(facts.workers.len())]));
    for (place, worker) in facts.workers.iter().enumerate() {
        let start = words.worker_at(place, facts.workers.len());
        out.push(is("helmet colour", [format!("{start}{}", words.helmet(worker.helmet))]));
        let dress = |helmet| format!("{start}{}", words.dress(Worker { helmet, ..*worker }));
        out.push(is("overalls colour", Colour::OF_HELMETS.map(dress)));
    }
    let [asphalt, gravel] = words.roads();
    out.push(match facts.road {
        Road::Asphalt => is("road", [asphalt]).but([gravel]),
        Road::Gravel => is("road", [gravel]).but([asphalt]),
    });
    out.push(is("cones", [words.cones(facts.cones)]));
    out.push(is("trees", [words.trees(facts.trees)]));
    let there = [("building", facts.building), ("sun", facts.sun), ("clouds", facts.clouds)];
    for ((fact, there), [yes, no]) in there.into_iter().zip(words.there()) {
        out.push(if there { is(fact, [yes]).but([no]) } else { is(fact, [no]) });
    }
    out
}

fn about_vehicle(words: &dyn Words, start: &str, vehicle: Vehicle, out: &mut Vec<Expected>) {
    let phrase = |vehicle| format!("{start}{}", words.vehicle(vehicle));
    let all = |kind: Kind, tipping| Colour::OF_VEHICLES.map(|colour| phrase(Vehicle { kind, colour, tipping }));
    let mut kind = is("vehicle kind", all(vehicle.kind, false));
    if vehicle.kind == Kind::Truck {
        kind.any.extend(all(Kind::Truck, true));
    }
    out.push(kind);
    out.push(is("vehicle colour", words.painted(vehicle.colour).iter().map(|end| format!("{start}{end}"))));
    if vehicle.kind == Kind::Truck {
        let tips = all(Kind::Truck, true);
        out.push(if vehicle.tipping {
            is("tipping", tips)
        } else {
            is("tipping", [format!("{start}{}", words.one())]).but(tips)
        });
    }
}

fn is<T: Into<String>>(fact: &'static str, any: impl IntoIterator<Item = T>) -> Expected {
    Expected { fact, any: any.into_iter().map(Into::into).collect(), none: Vec::new() }
}

impl Expected {
    fn but<T: Into<String>>(self, none: impl IntoIterator<Item = T>) -> Self {
        Self { none: none.into_iter().map(Into::into).collect(), ..self }
    }
}

/// The phrases of one language.
trait Words {
    fn vehicles(&self, count: usize) -> String;
    /// What stands before vehicle number `place` of `count`.
    fn vehicle_at(&self, place: usize, count: usize) -> &'static str;
    /// What the name of any vehicle begins with.
    fn one(&self) -> &'static str;
    fn vehicle(&self, vehicle: Vehicle) -> String;
    /// How the name of a vehicle of a colour begins.
    fn painted(&self, colour: Colour) -> Vec<String>;
    fn workers(&self, count: usize) -> String;
    fn worker_at(&self, place: usize, count: usize) -> &'static str;
    fn helmet(&self, colour: Colour) -> String;
    fn dress(&self, worker: Worker) -> String;
    /// Asphalt, gravel.
    fn roads(&self) -> [&'static str; 2];
    fn cones(&self, count: usize) -> String;
    fn trees(&self, count: usize) -> String;
    /// For a building, the sun and clouds: what says that it is there, and what says that it is not.
    fn there(&self) -> [[&'static str; 2]; 3];
}

struct Chinese;

impl Words for Chinese {
    fn one(&self) -> &'static str {
        "一"
    }

    fn vehicles(&self, count: usize) -> String {
        if count == 0 { "现场没有车辆".to_owned() } else { format!("现场有{}辆车", chinese::count(count)) }
    }

    fn vehicle_at(&self, place: usize, count: usize) -> &'static str {
        match (place, count) {
            (_, 1) => "现场有一辆车，是",
            (0, _) => "左边是",
            (1, 3) => "中间是",
            _ => "右边是",
        }
    }

    fn vehicle(&self, vehicle: Vehicle) -> String {
        chinese::vehicle(&vehicle)
    }

    fn painted(&self, colour: Colour) -> Vec<String> {
        let starts = ["一辆", "一台", "一辆正在卸料的"];
        starts.map(|start| format!("{start}{}", chinese::colour(colour))).to_vec()
    }

    fn workers(&self, count: usize) -> String {
        if count == 0 { "没有工人".to_owned() } else { format!("有{}名工人", chinese::count(count)) }
    }

    fn worker_at(&self, place: usize, count: usize) -> &'static str {
        match (place, count) {
            (_, 1) => "有一名工人，",
            (0, _) => "左边的",
            _ => "右边的",
        }
    }

    fn helmet(&self, colour: Colour) -> String {
        format!("戴{}安全帽", chinese::colour(colour))
    }

    fn dress(&self, worker: Worker) -> String {
        chinese::dress(&worker)
    }

    fn roads(&self) -> [&'static str; 2] {
        ["沥青", "碎石"]
    }

    fn cones(&self, count: usize) -> String {
        if count == 0 { "没有路锥".to_owned() } else { format!("有{}个路锥", chinese::count(count)) }
    }

    fn trees(&self, count: usize) -> String {
        if count == 0 { "没有树".to_owned() } else { format!("有{}棵树", chinese::count(count)) }
    }

    fn there(&self) -> [[&'static str; 2]; 3] {
        [["楼房", "没有楼房"], ["太阳", "没有太阳"], ["云", "没有云"]]
    }
}

struct English;

impl Words for English {
    fn one(&self) -> &'static str {
        "a "
    }

    fn vehicles(&self, count: usize) -> String {
        format!("There {}", english::counted(count, "vehicle"))
    }

    fn vehicle_at(&self, place: usize, count: usize) -> &'static str {
        match (place, count) {
            (_, 1) => "There is one vehicle, ",
            (0, _) => "on the left ",
            (1, 3) => "in the middle ",
            _ => "on the right ",
        }
    }

    fn vehicle(&self, vehicle: Vehicle) -> String {
        english::vehicle(&vehicle)
    }

    fn painted(&self, colour: Colour) -> Vec<String> {
        vec![format!("{} ", english::a(english::colour(colour)))]
    }

    fn workers(&self, count: usize) -> String {
        format!("There {}", english::counted(count, "worker"))
    }

    fn worker_at(&self, place: usize, count: usize) -> &'static str {
        match (place, count) {
            (_, 1) => "There is one worker in ",
            (0, _) => "on the left in ",
            _ => "on the right in ",
        }
    }

    fn helmet(&self, colour: Colour) -> String {
        format!("{} helmet", english::a(english::colour(colour)))
    }

    fn dress(&self, worker: Worker) -> String {
        english::dress(&worker)
    }

    fn roads(&self) -> [&'static str; 2] {
        ["asphalt", "gravel"]
    }

    fn cones(&self, count: usize) -> String {
        format!("There {}", english::counted(count, "cone"))
    }

    fn trees(&self, count: usize) -> String {
        format!("there {}", english::counted(count, "tree"))
    }

    fn there(&self) -> [[&'static str; 2]; 3] {
        [["building", "no building"], ["The sun is shining", "no sun"], ["some clouds", "no clouds"]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{describe, parse, score};
    use measure::ExpectedFact;

    /// As the client reads them, so that they are judged as it judges.
    fn read(all: &[Expected]) -> Vec<ExpectedFact> {
        let json = serde_json::to_string(all).unwrap();
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_right_description_holds_every_fact() {
        for seed in 0..2000 {
            let facts = Facts::of(seed);
            for language in Language::ALL {
                let text = describe(&facts, language, Some(seed));
                let all = read(&expected(&facts, language));
                assert!(all.iter().all(|one| one.is_told(&text)), "{text} {all:?}");
                assert!(!all.iter().any(|one| one.is_told("")));
            }
        }
    }

    #[test]
    fn phrases_judge_as_reading_the_facts_back_does() {
        let mut wrong = 0;
        for seed in 0..4000_u64 {
            let (facts, other) = (Facts::of(seed), Facts::of(seed + 7));
            for language in Language::ALL {
                let text = describe(&other, language, Some(seed));
                let scores = score(&parse(&text), &facts);
                let all = read(&expected(&facts, language));
                assert_eq!(all.len(), scores.len());
                let same = facts.vehicles.len() == other.vehicles.len() && facts.workers.len() == other.workers.len();
                for (one, (group, right)) in all.iter().zip(scores) {
                    let told = one.is_told(&text);
                    assert_eq!(one.name, group);
                    // Where counts differ, the places differ too: what is said of the only one is not said of the left one.
                    assert!(!same || told == right, "{text} {one:?}");
                    wrong += usize::from(!told);
                }
            }
        }
        assert!(wrong > 10_000);
    }
}
