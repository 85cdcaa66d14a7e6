//! From a description back to what it says, for tests. It must not know what would be true.

use super::{Language, chinese, english};
use crate::facts::{CONES_MAX, Colour, Kind, Road, TREES_MAX, VEHICLES_MAX, Vehicle, Worker};

/// What a description says; `None` where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Told {
    /// How many vehicles it says there are, whatever it names.
    pub(super) vehicle_count: Option<usize>,
    pub(super) vehicles: Vec<Vehicle>,
    pub(super) workers: Vec<Worker>,
    pub(super) trees: Option<usize>,
    pub(super) building: Option<bool>,
    pub(super) cones: Option<usize>,
    pub(super) road: Option<Road>,
    pub(super) sun: Option<bool>,
    pub(super) clouds: Option<bool>,
}

/// Reads a description in either language.
pub(super) fn parse(text: &str) -> Told {
    let is = |word: &str, denied: &str| text.contains(word).then(|| !text.contains(denied));
    let road = |asphalt: &str, gravel: &str| match (text.contains(asphalt), text.contains(gravel)) {
        (true, false) => Some(Road::Asphalt),
        (false, true) => Some(Road::Gravel),
        _ => None,
    };
    match Language::of(text) {
        Language::Chinese => {
            let counted = |none: &str, before: &str, after: &str, most: usize| {
                let says = |many: &usize| text.contains(&format!("{before}{}{after}", chinese::count(*many)));
                if text.contains(none) { Some(0) } else { (1..=most).find(says) }
            };
            Told {
                vehicle_count: counted("现场没有车辆", "现场有", "辆车", VEHICLES_MAX),
                vehicles: all(text, chinese_vehicle),
                workers: all(text, chinese_worker),
                trees: counted("没有树", "有", "棵树", TREES_MAX),
                building: is("楼房", "没有楼房"),
                cones: counted("没有路锥", "有", "个路锥", CONES_MAX),
                road: road("沥青", "碎石"),
                sun: is("太阳", "没有太阳"),
                clouds: is("云", "没有云"),
            }
        }
        Language::English => {
            let counted = |noun: &str, most: usize| {
                (0..=most).find(|many| text.contains(&format!("{} {noun}", english::count(*many))))
            };
            Told {
                vehicle_count: counted("vehicle", VEHICLES_MAX),
                vehicles: all(text, english_vehicle),
                workers: all(text, english_worker),
                trees: counted("tree", TREES_MAX),
                building: is("building", "no building"),
                cones: counted("cone", CONES_MAX),
                road: road("asphalt", "gravel"),
                sun: is("sun", "no sun"),
                clouds: is("clouds", "no clouds"),
            }
        }
    }
}

/// What `read` finds at any place of a text, in order.
fn all<T>(text: &str, read: fn(&str) -> Option<T>) -> Vec<T> {
    text.char_indices().filter_map(|(at, _)| read(text.get(at..)?)).collect()
}

/// The one of `all` whose name a text begins with, and what follows.
fn named<'a, T: Copy>(text: &'a str, all: &[T], name: fn(T) -> &'static str) -> Option<(T, &'a str)> {
    all.iter().find_map(|one| Some((*one, text.strip_prefix(name(*one))?)))
}

fn chinese_vehicle(text: &str) -> Option<Vehicle> {
    let text = text.strip_prefix("一辆").or_else(|| text.strip_prefix("一台"))?;
    let (tipping, text) = text.strip_prefix("正在卸料的").map_or((false, text), |rest| (true, rest));
    let (colour, text) = named(text, &Colour::ALL, chinese::colour)?;
    let (kind, _) = named(text, &Kind::ALL, chinese::kind)?;
    Some(Vehicle { kind, colour, tipping })
}

fn chinese_worker(text: &str) -> Option<Worker> {
    let (helmet, text) = named(text.strip_prefix("戴")?, &Colour::ALL, chinese::colour)?;
    let (overalls, text) = named(text.strip_prefix("安全帽，穿")?, &Colour::ALL, chinese::colour)?;
    text.starts_with("工作服").then_some(Worker { helmet, overalls })
}

fn english_vehicle(text: &str) -> Option<Vehicle> {
    let text = text.strip_prefix(" a ").or_else(|| text.strip_prefix(" an "))?;
    let (colour, text) = named(text, &Colour::ALL, english::colour)?;
    let (kind, text) = named(text.strip_prefix(' ')?, &Kind::ALL, english::kind)?;
    Some(Vehicle { kind, colour, tipping: text.starts_with(" tipping its load") })
}

fn english_worker(text: &str) -> Option<Worker> {
    let text = text.strip_prefix("in a ").or_else(|| text.strip_prefix("in an "))?;
    let (helmet, text) = named(text, &Colour::ALL, english::colour)?;
    let (overalls, text) = named(text.strip_prefix(" helmet and ")?, &Colour::ALL, english::colour)?;
    text.starts_with(" overalls").then_some(Worker { helmet, overalls })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_not_told() {
        assert_eq!(parse(""), Told::default());
        assert_eq!(parse("一只猫坐在沙发上。"), Told::default());
        let told = parse("现场有两辆车，左边是一辆红色轿车。没有路锥。远处有三棵树。");
        assert_eq!((told.vehicle_count, told.vehicles.len(), told.cones, told.trees), (Some(2), 1, Some(0), Some(3)));
        assert_eq!((told.building, told.sun, told.road), (None, None, None));
        let told = parse("There are three vehicles. There is one tree and no building. There is no sun.");
        assert_eq!(
            (told.vehicle_count, told.trees, told.building, told.sun),
            (Some(3), Some(1), Some(false), Some(false))
        );
        assert_eq!(parse("asphalt and gravel").road, None);
    }
}
