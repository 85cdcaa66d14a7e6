//! Every count of tokens with who counted it, and what the images should have made.

use super::line;
use crate::lang::Lang;
use crate::record::{Outcome, Phase, RequestRecord};
use crate::runlog::RunLog;
use crate::summary::RunSummary;

pub(super) fn token_counts(out: &mut String, summary: &RunSummary, lang: Lang) {
    let totals = &summary.totals;
    let known = |count: Option<u64>| count.map_or_else(|| "n/a".into(), |count| count.to_string());
    let source = totals.text_tokens_source.clone().unwrap_or_else(|| lang.pick("unknown", "未知").into());
    let cached = totals.cached_tokens.map_or_else(String::new, |count| {
        lang.pick(format!(" ({count} of them from its cache)"), format!("（其中 {count} 来自其缓存）"))
    });
    let by_client = match totals.retokenised {
        0 => String::new(),
        n => lang.pick(
            format!(", of which the client counted those of {n} requests"),
            format!("，其中 {n} 个请求由客户端统计"),
        ),
    };
    let (text, all, output) =
        (known(totals.text_input_tokens), known(totals.input_tokens), known(totals.output_tokens));
    line(
        out,
        &lang.pick(
            format!(
                "input tokens: {text} of text (counted by: {source}), {all} billed by the server{cached}; output tokens: {output}{by_client}"
            ),
            format!(
                "输入 token：文本 {text}（统计者：{source}），服务端计费 {all}{cached}；输出 token：{output}{by_client}"
            ),
        ),
    );
}

/// Over the complete measured requests with images, which may hold different ones.
pub(super) fn image_tokens(out: &mut String, log: &RunLog, lang: Lang) {
    let with_images = |record: &&RequestRecord| {
        record.phase == Phase::Measured && record.outcome == Outcome::Complete && !record.images.is_empty()
    };
    let records: Vec<&RequestRecord> = log.records.iter().filter(with_images).collect();
    if records.is_empty() {
        return;
    }
    let order = match log.header.plan["order"].as_str() {
        Some("image-first") => lang.pick("; images before the text", "；图像在文本之前"),
        Some("text-first") => lang.pick("; text before the images", "；文本在图像之前"),
        _ => "",
    };
    let each = |value: &dyn Fn(&RequestRecord) -> Option<u64>| {
        let values: Option<Vec<u64>> = records.iter().map(|record| value(record)).collect();
        values.map_or_else(|| "n/a".into(), |values| a_request(&values, lang))
    };
    let expected = each(&|record| log.header.expected_tokens(&record.images));
    let billed = each(&|record| record.usage?.prompt);
    let images = each(&|record| Some(record.images.len() as u64));
    line(
        out,
        &lang.pick(
            format!(
                "images: {images}; image tokens expected by the preprocessor settings: {expected}; prompt tokens billed: {billed}{order}"
            ),
            format!("图像：{images}；按预处理设置应有的图像 token：{expected}；服务端计费的输入 token：{billed}{order}"),
        ),
    );
}

/// One number where all are equal, else their range and their sum.
fn a_request(values: &[u64], lang: Lang) -> String {
    let (least, most) = (values.iter().min().copied().unwrap_or(0), values.iter().max().copied().unwrap_or(0));
    if least == most {
        return lang.pick(format!("{least} a request"), format!("每个请求 {least}"));
    }
    let sum = values.iter().copied().fold(0, u64::saturating_add);
    lang.pick(format!("{least} to {most} a request, {sum} in all"), format!("每个请求 {least} 到 {most}，合计 {sum}"))
}
