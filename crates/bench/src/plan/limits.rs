//! Limits as people type them: of a request (`ttft:500`) and of a run (`ttft:p99:500`).

use super::{PlanError, words};
use measure::{METRICS, RunLimit, SloLimit};
use serde_json::Value;

/// `ttft:500 tpot:50`, names with or without `_ms`.
///
/// # Errors
/// [`PlanError::Value`] for a word of another form.
pub fn goodput(given: &[String]) -> Result<Vec<SloLimit>, PlanError> {
    limit_words(given)
        .map(|word| {
            let limit = word
                .split_once(':')
                .and_then(|(name, max)| Some(SloLimit { metric: metric_name(name)?.into(), max: limit_value(max)? }));
            limit.ok_or_else(|| refused_limit("--goodput", word, "NAME:MS", "名称:毫秒"))
        })
        .collect()
}

/// `ttft:p99:500`, names with or without `_ms`.
///
/// # Errors
/// [`PlanError::Value`] for a word of another form.
pub fn run_limits(given: &[String]) -> Result<Vec<RunLimit>, PlanError> {
    limit_words(given)
        .map(|word| {
            let limit = word.split_once(':').and_then(|(name, rest)| {
                let (statistic, max) = rest.split_once(':')?;
                let statistic = serde_json::from_value(Value::String(statistic.to_lowercase())).ok()?;
                Some(RunLimit { metric: metric_name(name)?.into(), statistic, max: limit_value(max)? })
            });
            let form = (
                "NAME:STATISTIC:MS, STATISTIC one of mean, median, p90, p95, p99, max,",
                "名称:统计量:毫秒，统计量为 mean、median、p90、p95、p99、max 之一，",
            );
            limit.ok_or_else(|| refused_limit("--slo", word, form.0, form.1))
        })
        .collect()
}

fn limit_words(given: &[String]) -> impl Iterator<Item = &str> {
    given.iter().flat_map(|word| word.split([' ', ',']).filter(|word| !word.is_empty()))
}

/// A figure's full name from what people type; `e2el` is vLLM's word for the end-to-end latency.
fn metric_name(given: &str) -> Option<&'static str> {
    let given = if given == "e2el" { "e2e" } else { given.trim_end_matches("_ms") };
    METRICS.iter().map(|metric| metric.name).find(|name| name.trim_end_matches("_ms") == given)
}

fn limit_value(given: &str) -> Option<f64> {
    given.parse::<f64>().ok().filter(|max| max.is_finite() && *max > 0.0)
}

fn refused_limit(flag: &'static str, given: &str, form_en: &str, form_zh: &str) -> PlanError {
    let names: Vec<&str> = METRICS.iter().map(|metric| metric.name.trim_end_matches("_ms")).collect();
    PlanError::Value {
        flag,
        given: given.to_owned(),
        why: words(
            format!("{form_en} is expected, NAME one of {}", names.join(", ")),
            format!("应为 {form_zh}名称为 {} 之一", names.join("、")),
        ),
    }
}
