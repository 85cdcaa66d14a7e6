//! Values of single flags.

use super::{PlanError, words};
use serde_json::{Map, Value};

/// The longest time a flag may name, seconds: four months.
const SECONDS_MAX: f64 = 1e7;

/// A time.
pub(super) fn seconds(value: f64, flag: &'static str) -> Result<f64, PlanError> {
    within(value, SECONDS_MAX, flag)
}

/// A number greater than 0 and at most `most`.
pub(super) fn within(value: f64, most: f64, flag: &'static str) -> Result<f64, PlanError> {
    if value > 0.0 && value <= most {
        return Ok(value);
    }
    Err(PlanError::Value {
        flag,
        given: value.to_string(),
        why: words(
            format!("a number greater than 0 and at most {most} is expected"),
            format!("应为大于 0 且不超过 {most} 的数"),
        ),
    })
}

pub(super) fn at_least(value: f64, least: f64, flag: &'static str) -> Result<f64, PlanError> {
    if value.is_finite() && value >= least {
        return Ok(value);
    }
    Err(PlanError::Value {
        flag,
        given: value.to_string(),
        why: words(format!("a number of at least {least} is expected"), format!("应为不小于 {least} 的数")),
    })
}

pub(super) fn resize(given: &str) -> Result<(u32, u32), PlanError> {
    let side = |text: &str| text.trim().parse::<u32>().ok().filter(|side| (1..=16_384).contains(side));
    given.split_once(['x', 'X', '×']).and_then(|(w, h)| Some((side(w)?, side(h)?))).ok_or_else(|| PlanError::Value {
        flag: "--resize",
        given: given.to_owned(),
        why: words(
            "width x height is expected, each from 1 to 16384, such as 1080x810",
            "应为 宽x高，各为 1 到 16384，例如 1080x810",
        ),
    })
}

pub(super) fn extra_body(given: Option<&str>) -> Result<Map<String, Value>, PlanError> {
    let Some(given) = given else { return Ok(Map::new()) };
    let refuse = |en: String, zh: String| PlanError::Value {
        flag: "--extra-body",
        given: given.to_owned(),
        why: words(
            format!("{en}; a JSON object such as '{{\"top_p\": 0.9}}' is expected"),
            format!("{zh}；应为 JSON 对象，例如 '{{\"top_p\": 0.9}}'"),
        ),
    };
    let value: Value = serde_json::from_str(given).map_err(|error| refuse(error.to_string(), error.to_string()))?;
    let Value::Object(fields) = value else { return Err(refuse("this is no object".into(), "这不是对象".into())) };
    if let Some(name) = ["messages", "stream"].iter().find(|name| fields.contains_key(**name)) {
        return Err(refuse(format!("{name:?} is the benchmark's own"), format!("{name:?} 由本工具自己填写")));
    }
    Ok(fields)
}
