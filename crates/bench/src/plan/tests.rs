//! What command lines become, and which are refused.

use super::*;
use measure::Lang;

fn plan(words: &[&str]) -> Result<Plan, PlanError> {
    let argv = std::iter::once(&"vlm-benchmark").chain(words).map(std::ffi::OsString::from);
    let mut args = crate::cli::parse(argv, Lang::En).unwrap().run;
    args.api_key = args.api_key.filter(|_| words.contains(&"--api-key"));
    Plan::new(&args).map(|(plan, _)| plan)
}

fn check_refused(words: &[&str], part: &str) {
    let error = plan(words).err();
    let text = error.as_ref().map(|error| error.text(Lang::En)).unwrap_or_default();
    assert!(text.contains(part), "{words:?}: {text:?} lacks {part:?}");
}

#[test]
fn how_many_are_sent_and_how_many_at_once() {
    let load = |words: &[&str]| {
        let plan = plan(&[words, &["--no-image"]].concat()).unwrap();
        (plan.max_concurrency, plan.requests)
    };
    assert_eq!(load(&[]), (Some(1), Some(1)));
    assert_eq!(load(&["--batch_size", "8"]), (Some(8), Some(8)));
    assert_eq!(load(&["--batch_size", "8", "--num-prompts", "100"]), (Some(8), Some(100)));
    assert_eq!(load(&["--max-concurrency", "4", "--num-prompts", "9"]), (Some(4), Some(9)));
    assert_eq!(load(&["--duration", "5"]), (Some(1), None));
    assert_eq!(load(&["--request-rate", "2", "--num-prompts", "9"]), (None, Some(9)));
    assert_eq!(load(&["--request-rate", "2", "--num-prompts", "9", "--max-concurrency", "3"]), (Some(3), Some(9)));
}

#[test]
fn what_cannot_be_done_is_said() {
    check_refused(&[], "no image was given");
    check_refused(&["--image_path", ""], "no image was given");
    check_refused(&["--no-image", "--request-rate", "5"], "--num-prompts or --duration");
    check_refused(&["--no-image", "--request-rate", "0", "--num-prompts", "1"], "--request-rate");
    check_refused(&["--no-image", "--extra-body", "[1]"], "JSON object");
    check_refused(&["--no-image", "--extra-body", "{\"stream\":false}"], "benchmark's own");
    check_refused(&["--no-image", "--goodput", "speed:5"], "NAME one of ttft");
    check_refused(&["--no-image", "--slo", "ttft:500"], "STATISTIC one of mean");
    check_refused(&["--no-image", "--base-url", "ftp://x"], "http and https");
    check_refused(&["--no-image", "--cold"], "--cold without images");
    check_refused(&["--no-image", "--image-proof"], "--image-proof needs an image");
    check_refused(&["--image_path", "a", "--resize", "0x5"], "width x height");
    check_refused(&["--synthetic-image", "photo:1x"], "photo");
    check_refused(&["--no-image", "--header", "novalue"], "Name: value");
    check_refused(&["--no-image", "--idle-timeout", "0"], "--idle-timeout");
}

#[test]
fn no_secret_is_in_a_plan() {
    let plan =
        plan(&["--no-image", "--api-key", "sesame", "--header", "x-key: sesame", "--base-url", "http://u:sesame@h"])
            .unwrap();
    let json = serde_json::to_string(&plan).unwrap();
    assert!(!json.contains("sesame"), "{json}");
    assert!(json.contains("x-key"));
}

#[test]
fn goodput_limits() {
    let plan = plan(&["--no-image", "--goodput", "ttft:500", "e2el:10000"]).unwrap();
    let names: Vec<(&str, f64)> = plan.goodput.iter().map(|limit| (limit.metric.as_str(), limit.max)).collect();
    assert_eq!(names, [("ttft_ms", 500.0), ("e2e_ms", 10000.0)]);
}
