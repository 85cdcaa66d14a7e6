//! English sentences.

use super::{Asker, all_alike, colours_of, number};
use crate::facts::{Colour, Facts, Kind, Road, Vehicle, Worker};

const NUMBERS: [&str; 5] = ["no", "one", "two", "three", "four"];

pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Truck => "dump truck",
        Kind::Excavator => "excavator",
        Kind::Roller => "road roller",
        Kind::Car => "car",
        Kind::Bulldozer => "bulldozer",
    }
}

pub(super) fn colour(colour: Colour) -> &'static str {
    match colour {
        Colour::Yellow => "yellow",
        Colour::Red => "red",
        Colour::Blue => "blue",
        Colour::Green => "green",
        Colour::White => "white",
        Colour::Orange => "orange",
    }
}

pub(super) fn count(count: usize) -> &'static str {
    number(NUMBERS, count)
}

/// With its article.
pub(super) fn a(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// "is one tree", "are no trees": what follows "There".
pub(super) fn counted(many: usize, noun: &str) -> String {
    let (verb, ending) = if many == 1 { ("is", "") } else { ("are", "s") };
    format!("{verb} {} {noun}{ending}", count(many))
}

pub(super) fn vehicle(v: &Vehicle) -> String {
    let tipping = if v.tipping { " tipping its load" } else { "" };
    a(&format!("{} {}{tipping}", colour(v.colour), kind(v.kind)))
}

/// "yellow", "both yellow", "all yellow" or "yellow and red".
fn colours(list: &[Colour]) -> String {
    match list {
        [first, _] if all_alike(list) => format!("both {}", colour(*first)),
        [first, ..] if all_alike(list) => format!("all {}", colour(*first)),
        _ => list.iter().map(|c| colour(*c)).collect::<Vec<_>>().join(" and "),
    }
}

fn vehicles(facts: &Facts) -> String {
    let names: Vec<String> = facts.vehicles.iter().map(vehicle).collect();
    match names.as_slice() {
        [] => "There are no vehicles. ".to_owned(),
        [one] => format!("There is one vehicle, {one}. "),
        [left, right] => format!("There are two vehicles: on the left {left}, on the right {right}. "),
        [left, middle, right, ..] => {
            format!("There are three vehicles: on the left {left}, in the middle {middle}, on the right {right}. ")
        }
    }
}

fn road(facts: &Facts) -> &'static str {
    match facts.road {
        Road::Asphalt => "The road is new asphalt.",
        Road::Gravel => "The road is covered with gravel.",
    }
}

pub(super) fn dress(worker: &Worker) -> String {
    format!("{} helmet and {} overalls", a(colour(worker.helmet)), colour(worker.overalls))
}

fn workers(facts: &Facts) -> String {
    let names: Vec<String> = facts.workers.iter().map(dress).collect();
    match names.as_slice() {
        [] => "There are no workers. ".to_owned(),
        [one] => format!("There is one worker in {one}. "),
        [left, right, ..] => format!("There are two workers: on the left in {left}, on the right in {right}. "),
    }
}

fn sky(facts: &Facts) -> String {
    let sun = if facts.sun { "The sun is shining" } else { "There is no sun" };
    format!("{sun} and there are {} clouds.", if facts.clouds { "some" } else { "no" })
}

pub(super) fn describe(facts: &Facts, opening: usize) -> String {
    let openings = [
        "The picture shows a road construction site. ",
        "This is a road construction site. ",
        "We see a road being built. ",
    ];
    let on_road = if facts.cones == 0 { "" } else { " on the road" };
    let building = if facts.building { "a building" } else { "no building" };
    [
        number(openings, opening),
        &vehicles(facts),
        road(facts),
        " ",
        &workers(facts),
        &format!("There {}{on_road}. ", counted(facts.cones, "cone")),
        &format!("In the background there {} and {building}. ", counted(facts.trees, "tree")),
        &sky(facts),
    ]
    .concat()
}

pub(super) fn questions(facts: &Facts, kinds: &[Kind], asker: &mut Asker<'_>) {
    let wordings =
        ["How many vehicles are there?", "How many vehicles are in the image?", "How many vehicles can you see?"];
    asker.ask(wordings, format!("There {}.", counted(facts.vehicles.len(), "vehicle")));
    kinds.iter().for_each(|kind| about_kind(facts, *kind, asker));
    about_truck(facts, asker);
    if let [first, .., last] | [first @ last] = facts.vehicles.as_slice() {
        let wordings = ["What is on the left?", "Which vehicle is on the left?"];
        asker.ask(wordings, format!("On the left is {}.", vehicle(first)));
        let wordings = ["What is on the right?", "Which vehicle is on the right?"];
        asker.ask(wordings, format!("On the right is {}.", vehicle(last)));
    }
    about_workers(facts, asker);
    about_place(facts, asker);
}

fn about_kind(facts: &Facts, asked: Kind, asker: &mut Asker<'_>) {
    let name = kind(asked);
    let said = match asked {
        Kind::Truck => asker.dice.pick([name, "truck"]),
        Kind::Roller => asker.dice.pick([name, "roller"]),
        _ => name,
    };
    let list = colours_of(facts, asked);
    let answer = match list.len() {
        0 => format!("No. There is no {name}."),
        many => format!("Yes. There {}.", counted(many, name)),
    };
    let one = a(said);
    asker.ask(
        [&format!("Is there {one}?"), &format!("Is there {one} in the image?"), &format!("Can you see {one}?")],
        answer,
    );
    let answer = match list.len() {
        0 => format!("There is no {name}."),
        1 => format!("The {name} is {}.", colours(&list)),
        _ => format!("The {name}s are {}.", colours(&list)),
    };
    let wordings = ["What colour is", "What color is", "What is the colour of"].map(|ask| format!("{ask} the {said}?"));
    asker.ask(wordings.each_ref().map(String::as_str), answer);
}

fn about_truck(facts: &Facts, asker: &mut Asker<'_>) {
    let answer = match facts.vehicles.iter().filter(|v| v.kind == Kind::Truck).map(|v| v.tipping).max() {
        None => "There is no dump truck.",
        Some(true) => "The dump truck is tipping its load.",
        Some(false) => "The dump truck is not tipping.",
    };
    let wordings = ["What is the truck doing?", "Is the truck tipping its load?", "Is the dump truck tipping?"];
    asker.ask(wordings, answer);
}

fn about_workers(facts: &Facts, asker: &mut Asker<'_>) {
    let many = facts.workers.len();
    let none = || "There are no workers.".to_owned();
    let wordings =
        ["Is there a worker?", "How many workers are there?", "Are there any workers?", "Are there any people?"];
    asker.ask(wordings, format!("There {}.", counted(many, "worker")));
    let helmets = colours(&facts.workers.iter().map(|w| w.helmet).collect::<Vec<_>>());
    let answer = match many {
        0 => none(),
        1 => format!("The helmet is {helmets}."),
        _ => format!("The helmets are {helmets}."),
    };
    asker.ask(["What colour is the helmet?", "What color is the worker's helmet?"], answer);
    let overalls = colours(&facts.workers.iter().map(|w| w.overalls).collect::<Vec<_>>());
    let answer = if many == 0 { none() } else { format!("The overalls are {overalls}.") };
    asker.ask(["What colour are the overalls?", "What is the worker wearing?"], answer);
}

fn about_place(facts: &Facts, asker: &mut Asker<'_>) {
    asker
        .ask(["How many trees are there?", "Are there any trees?"], format!("There {}.", counted(facts.trees, "tree")));
    let wordings = ["How many cones are there?", "Are there any traffic cones?"];
    asker.ask(wordings, format!("There {}.", counted(facts.cones, "cone")));
    let building = if facts.building { "Yes. There is a building." } else { "No. There is no building." };
    asker.ask(["Is there a building?", "Are there any buildings?"], building);
    let wordings = ["How is the weather?", "Is the sun shining?", "Are there any clouds?", "What is in the sky?"];
    asker.ask(wordings, sky(facts));
    asker.ask(["What is the road made of?", "What is the road surface?"], road(facts));
}
