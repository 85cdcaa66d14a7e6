//! The head of the report: which run, which server, which machine, and whether the picture was seen.

use super::plain;
use crate::lang::Lang;
use crate::runlog::{ImageProof, ProofVerdict};
use crate::summary::{RunFacts, RunSummary};
use crate::timeline::{Clock, Definitions};

/// A line for each of them that is known.
pub(crate) fn head(summary: &RunSummary, lang: Lang) -> Vec<String> {
    let facts = &summary.run;
    let lines = [
        (lang.pick("run", "运行"), run(facts)),
        (lang.pick("server", "服务端"), server(facts, lang)),
        (lang.pick("card", "加速卡"), card(facts, lang)),
        (lang.pick("client machine", "客户端机器"), client(facts, lang)),
        (lang.pick("figures", "数字"), if summary.counts.complete > 0 { figures(summary, lang) } else { Vec::new() }),
        (
            lang.pick("image proof", "图像验证"),
            summary.image_proof.iter().flat_map(|given| proof(given, lang)).collect(),
        ),
    ];
    let known = lines.into_iter().filter(|(_, words)| !words.is_empty());
    known
        .map(|(title, words)| {
            let words: Vec<String> = words.iter().map(|word| plain(word)).collect();
            format!("{title}{}{}", lang.pick(": ", "："), words.join(lang.pick(", ", "，")))
        })
        .collect()
}

fn run(facts: &RunFacts) -> Vec<String> {
    // Whole seconds are enough for people; the JSON has the rest.
    let started = match facts.name.started.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => facts.name.started.clone(),
    };
    facts.name.label.iter().cloned().chain([started, facts.name.tool.clone()]).collect()
}

fn server(facts: &RunFacts, lang: Lang) -> Vec<String> {
    let server = &facts.server;
    let model = format!("{} {}", lang.pick("model", "模型"), server.model);
    let version = server.version.as_ref().map(|version| format!("{} {version}", lang.pick("version", "版本")));
    [server.url.clone(), model].into_iter().chain(version).chain(server.software.clone()).collect()
}

fn card(facts: &RunFacts, lang: Lang) -> Vec<String> {
    let driver = facts.name.driver.as_ref().map(|driver| format!("{} {driver}", lang.pick("driver", "驱动")));
    facts.name.card.iter().cloned().chain(driver).collect()
}

fn client(facts: &RunFacts, lang: Lang) -> Vec<String> {
    let client = &facts.client;
    let cores = client.cores.map(|cores| format!("{cores} {}", lang.pick("cores", "核")));
    [client.os.clone()].into_iter().chain(client.cpu.clone()).chain(cores).collect()
}

fn figures(summary: &RunSummary, lang: Lang) -> Vec<String> {
    let definitions = match summary.definitions {
        Definitions::Standard => lang.pick("standard definitions", "标准定义"),
        Definitions::Vllm => lang.pick("definitions of vllm", "vllm 定义"),
    };
    let (by_kernel, of) = (summary.requests_by_kernel_clock, summary.counts.complete);
    let clock = match summary.clock {
        Clock::Kernel => lang.pick(
            format!("the kernel's receive times in {by_kernel} of {of} requests"),
            format!("{of} 个请求中 {by_kernel} 个采用内核接收时间"),
        ),
        Clock::User => lang.pick("the client's own reads".into(), "采用程序自己的读取时间".into()),
    };
    vec![definitions.into(), clock]
}

fn proof(proof: &ImageProof, lang: Lang) -> Vec<String> {
    let verdict = match proof.verdict {
        ProofVerdict::Seen => lang.pick("SEEN", "已看到图像"),
        ProofVerdict::BilledWithoutEffect => lang.pick("BILLED, BUT WITHOUT EFFECT", "计费了但没有作用"),
        ProofVerdict::UnexpectedSize => lang.pick("UNEXPECTED SIZE", "尺寸不符"),
        ProofVerdict::NotSeen => lang.pick("NOT SEEN", "未看到图像"),
        ProofVerdict::Unknown => lang.pick("UNKNOWN", "无法判断"),
    };
    let images = proof.images;
    let billed = proof.with_image.zip(proof.without_image).map(|(with, without)| {
        let tokens = with.saturating_sub(without);
        lang.pick(
            format!("{tokens} tokens billed for {images} image{}", if images == 1 { "" } else { "s" }),
            format!("{images} 张图计费 {tokens} 个 token"),
        )
    });
    let around = |expected: u64| {
        let billed = proof.with_image?.checked_sub(proof.without_image?)?;
        billed.checked_sub(expected).filter(|around| *around > 0)
    };
    let expected = proof.expected.map(|tokens| match around(tokens) {
        Some(around) => lang.pick(
            format!("{tokens} expected and {around} around it"),
            format!("按预处理设置应为 {tokens}，另有 {around} 个在图像前后"),
        ),
        None => lang.pick(format!("{tokens} expected"), format!("按预处理设置应为 {tokens}")),
    });
    let effect = proof.effect.map(|effect| words_of_effect(proof, effect, lang));
    [verdict.to_owned()].into_iter().chain(billed).chain(expected).chain(effect).collect()
}

/// Which change another picture made: of the words, or of log probabilities alone.
fn words_of_effect(proof: &ImageProof, effect: bool, lang: Lang) -> String {
    if !effect {
        return lang.pick("another picture changes nothing", "换一张图没有变化").to_owned();
    }
    let what = match proof.logprob_change {
        Some(change) => lang.pick(
            format!("another picture changes log probabilities by up to {change:.4}, not the words"),
            format!("换一张图，logprob 最多变化 {change:.4}，文字不变"),
        ),
        None => lang.pick("another picture changes the answer".to_owned(), "换一张图答案会变".to_owned()),
    };
    match &proof.question {
        None => what,
        Some(question) => lang.pick(
            format!("{what}, asked “{question}” (the prompt has one answer for both)"),
            format!("{what}（提问“{question}”；对本次提示词两张图的答案相同）"),
        ),
    }
}
