//! Chinese sentences.

use super::{Asker, all_alike, colours_of, number};
use crate::facts::{Colour, Facts, Kind, Road, Vehicle, Worker};

const NUMBERS: [&str; 5] = ["零", "一", "两", "三", "四"];

pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Truck => "自卸卡车",
        Kind::Excavator => "挖掘机",
        Kind::Roller => "压路机",
        Kind::Car => "轿车",
        Kind::Bulldozer => "推土机",
    }
}

pub(super) fn colour(colour: Colour) -> &'static str {
    match colour {
        Colour::Yellow => "黄色",
        Colour::Red => "红色",
        Colour::Blue => "蓝色",
        Colour::Green => "绿色",
        Colour::White => "白色",
        Colour::Orange => "橙色",
    }
}

/// The measure word.
pub(super) fn measure(kind: Kind) -> &'static str {
    match kind {
        Kind::Truck | Kind::Car => "辆",
        Kind::Excavator | Kind::Roller | Kind::Bulldozer => "台",
    }
}

pub(super) fn count(count: usize) -> &'static str {
    number(NUMBERS, count)
}

pub(super) fn vehicle(v: &Vehicle) -> String {
    let tipping = if v.tipping { "正在卸料的" } else { "" };
    format!("一{}{tipping}{}{}", measure(v.kind), colour(v.colour), kind(v.kind))
}

fn has(there: bool) -> &'static str {
    if there { "有" } else { "没有" }
}

/// 是黄色的, 都是黄色的 or 是黄色和红色的, after a subject.
fn colours(list: &[Colour]) -> String {
    match list {
        [first, ..] if all_alike(list) => format!("都是{}的", colour(*first)),
        _ => format!("是{}的", list.iter().map(|c| colour(*c)).collect::<Vec<_>>().join("和")),
    }
}

fn vehicles(facts: &Facts) -> String {
    let names: Vec<String> = facts.vehicles.iter().map(vehicle).collect();
    match names.as_slice() {
        [] => "现场没有车辆。".to_owned(),
        [one] => format!("现场有一辆车，是{one}。"),
        [left, right] => format!("现场有两辆车，左边是{left}，右边是{right}。"),
        [left, middle, right, ..] => format!("现场有三辆车，左边是{left}，中间是{middle}，右边是{right}。"),
    }
}

fn road(facts: &Facts) -> &'static str {
    match facts.road {
        Road::Asphalt => "路面是新铺的沥青。",
        Road::Gravel => "路面铺着碎石。",
    }
}

pub(super) fn dress(worker: &Worker) -> String {
    format!("戴{}安全帽，穿{}工作服", colour(worker.helmet), colour(worker.overalls))
}

fn workers(facts: &Facts) -> String {
    let names: Vec<String> = facts.workers.iter().map(dress).collect();
    match names.as_slice() {
        [] => "没有工人。".to_owned(),
        [one] => format!("有一名工人，{one}。"),
        [left, right, ..] => format!("有两名工人，左边的{left}，右边的{right}。"),
    }
}

fn sky(facts: &Facts) -> String {
    format!("天上{}太阳，{}云。", has(facts.sun), has(facts.clouds))
}

pub(super) fn describe(facts: &Facts, opening: usize) -> String {
    let opening = number(["图中是一处道路施工现场。", "这是一处道路施工现场。", "画面中是一处修路工地。"], opening);
    let cones = if facts.cones == 0 {
        "没有路锥。".to_owned()
    } else {
        format!("路上有{}个路锥。", count(facts.cones))
    };
    let trees = if facts.trees == 0 { "没有树".to_owned() } else { format!("有{}棵树", count(facts.trees)) };
    [
        opening,
        &vehicles(facts),
        road(facts),
        &workers(facts),
        &cones,
        &format!("远处{trees}，{}楼房。", has(facts.building)),
        &sky(facts),
    ]
    .concat()
}

pub(super) fn questions(facts: &Facts, kinds: &[Kind], asker: &mut Asker<'_>) {
    let answer = match facts.vehicles.len() {
        0 => "图中没有车辆。".to_owned(),
        many => format!("图中有{}辆车。", count(many)),
    };
    let wordings = ["图中有几辆车？", "有几辆车？", "图片里有几辆车？", "一共有多少辆车？", "现场有几辆车？"];
    asker.ask(wordings, answer);
    kinds.iter().for_each(|kind| about_kind(facts, *kind, asker));
    about_truck(facts, asker);
    if let [first, .., last] | [first @ last] = facts.vehicles.as_slice() {
        asker.ask(["左边是什么车？", "最左边是什么车？"], format!("最左边是{}。", vehicle(first)));
        asker.ask(["右边是什么车？", "最右边是什么车？"], format!("最右边是{}。", vehicle(last)));
    }
    about_workers(facts, asker);
    about_place(facts, asker);
}

fn about_kind(facts: &Facts, asked: Kind, asker: &mut Asker<'_>) {
    let name = kind(asked);
    let said = match asked {
        Kind::Truck => asker.dice.pick([name, "卡车", "自卸车"]),
        Kind::Car => asker.dice.pick([name, "汽车", "小汽车"]),
        _ => name,
    };
    let list = colours_of(facts, asked);
    let answer = match list.len() {
        0 => format!("没有，图中没有{name}。"),
        many => format!("有，图中有{}{}{name}。", count(many), measure(asked)),
    };
    asker.ask([&format!("图中有{said}吗？"), &format!("有{said}吗？"), &format!("有没有{said}？")], answer);
    let answer =
        if list.is_empty() { format!("图中没有{name}。") } else { format!("{name}{}。", colours(&list)) };
    let wordings = ["", "图中的"].map(|before| format!("{before}{said}是什么颜色？"));
    asker.ask([&wordings[0], &format!("{said}是什么颜色的？"), &wordings[1]], answer);
}

fn about_truck(facts: &Facts, asker: &mut Asker<'_>) {
    let answer = match facts.vehicles.iter().filter(|v| v.kind == Kind::Truck).map(|v| v.tipping).max() {
        None => "图中没有自卸卡车。",
        Some(true) => "自卸卡车正在卸料。",
        Some(false) => "自卸卡车没有卸料。",
    };
    asker.ask(["卡车在做什么？", "卡车正在卸料吗？", "自卸卡车在卸料吗？"], answer);
}

fn about_workers(facts: &Facts, asker: &mut Asker<'_>) {
    let none = facts.workers.is_empty();
    let counted =
        |many: usize| if many == 0 { "没有工人。".to_owned() } else { format!("有{}名工人。", count(many)) };
    let wordings = ["有工人吗？", "图中有工人吗？", "有没有工人？", "图中有几名工人？", "有几个工人？", "有人吗？"];
    asker.ask(wordings, counted(facts.workers.len()));
    let dressed = |what: &str, list: Vec<Colour>| match none {
        true => "没有工人。".to_owned(),
        false => format!("{what}{}。", colours(&list)),
    };
    let helmets = facts.workers.iter().map(|w| w.helmet).collect();
    let wordings = ["工人戴什么颜色的安全帽？", "安全帽是什么颜色？", "工人的安全帽是什么颜色的？"];
    asker.ask(wordings, dressed("安全帽", helmets));
    let overalls = facts.workers.iter().map(|w| w.overalls).collect();
    let wordings = ["工人穿什么颜色的衣服？", "工作服是什么颜色？", "工人的工作服是什么颜色的？"];
    asker.ask(wordings, dressed("工作服", overalls));
}

fn about_place(facts: &Facts, asker: &mut Asker<'_>) {
    let counted = |many: usize, none: &str, unit: &str, what: &str| match many {
        0 => none.to_owned(),
        many => format!("有{}{unit}{what}。", count(many)),
    };
    let trees = counted(facts.trees, "没有树。", "棵", "树");
    asker.ask(["有几棵树？", "图中有几棵树？", "远处有多少棵树？", "有树吗？"], trees);
    let cones = counted(facts.cones, "没有路锥。", "个", "路锥");
    asker.ask(["有几个路锥？", "路上有多少个路锥？", "有路锥吗？"], cones);
    let building = format!("{}楼房。", has(facts.building));
    asker.ask(["有楼房吗？", "图中有建筑吗？", "远处有房子吗？"], building);
    asker.ask(["天气怎么样？", "天空是什么样的？", "有太阳吗？", "天上有云吗？"], sky(facts));
    asker.ask(["路面是什么样的？", "路面是什么材料？", "路面铺的是什么？"], road(facts));
}
