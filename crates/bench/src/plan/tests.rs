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
    assert_eq!(load(&["--batch_size", "8", "--max-concurrency", "4"]), (Some(4), Some(8)));
    assert_eq!(load(&["--batch_size", "1", "--max-concurrency", "4", "--num-prompts", "9"]), (Some(1), Some(9)));
    assert_eq!(load(&["--max-concurrency", "4"]), (Some(4), Some(4)));
    assert_eq!(load(&["--request-rate", "inf", "--num-prompts", "9"]), (Some(9), Some(9)));
    assert_eq!(load(&["--request-rate", "inf", "--num-prompts", "9", "--max-concurrency", "2"]), (Some(2), Some(9)));
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
    check_refused(&["--no-image", "--host", "http://127.0.0.1:8000"], "a URL goes to --base-url");
    check_refused(&["--no-image", "--cold"], "--cold without images");
    check_refused(&["--no-image", "--image-proof"], "--image-proof needs an image");
    check_refused(&["--image_path", "a", "--resize", "0x5"], "width x height");
    check_refused(&["--synthetic-image", "photo:1x"], "photo");
    check_refused(&["--no-image", "--header", "novalue"], "Name: value");
    check_refused(&["--no-image", "--idle-timeout", "0"], "--idle-timeout");
    check_refused(&["--no-image", "--total-timeout", "1e19"], "at most 10000000");
    check_refused(&["--no-image", "--duration", "1e19"], "--duration");
    check_refused(&["--no-image", "--request-rate", "1e19", "--num-prompts", "1"], "--request-rate");
    check_refused(&["--no-image", "--request-rate", "nan", "--num-prompts", "1"], "--request-rate");
    check_refused(&["--no-image", "--request-rate", "inf", "--duration", "1"], "everything at once");
    check_refused(&["--no-image", "--request-rate", "1", "--num-prompts", "1", "--batch_size", "2"], "open one");
    let even =
        ["--no-image", "--request-rate", "1", "--num-prompts", "1", "--arrivals", "constant", "--burstiness", "2"];
    check_refused(&even, "--burstiness");
    check_refused(&["--image_path", "a.png", "--no-image"], "--image_path and --no-image");
    check_refused(&["--image_path", "a.png", "--image_dir", "d"], "--image_path and --image_dir");
}

#[test]
fn an_empty_image_path_is_none_given() {
    for other in [&["--no-image"][..], &["--image_dir", "d"], &["--synthetic-image", "noise:28x28"]] {
        let plan = plan(&[&["--image_path", ""], other].concat()).unwrap();
        assert!(!matches!(plan.images, ImageSource::Files(_)), "{other:?}");
    }
}

#[test]
fn an_empty_key_is_no_key() {
    assert!(!plan(&["--no-image", "--api-key", ""]).unwrap().has_api_key);
    assert!(plan(&["--no-image", "--api-key", "k"]).unwrap().has_api_key);
}

#[test]
fn no_secret_is_in_a_plan() {
    let plan = plan(&[
        "--image_path",
        "a",
        "--api-key",
        "sesame",
        "--header",
        "x-key: sesame",
        "--base-url",
        "http://u:sesame@h",
        "--endpoint",
        "/chat?key=sesame",
        "--extra-body",
        "{\"api_key\": \"sesame\"}",
        "--image-as",
        "url",
        "--image-url-prefix",
        "http://u:sesame@h/?sig=sesame",
    ])
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

#[test]
fn what_a_comparison_leaves_out_are_fields_of_the_plan() {
    let plan = serde_json::to_value(plan(&["--no-image"]).unwrap()).unwrap();
    for name in measure::Comparison::LEFT_OUT {
        assert!(plan.get(name).is_some(), "{name}");
    }
}
