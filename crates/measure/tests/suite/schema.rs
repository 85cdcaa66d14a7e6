//! The committed JSON Schemas: rich and poor examples fit, and what is one thing wrong does not.

use crate::build::{MS, by_own_reads, footer, header, header_with, log, request};
use crate::cautions;
use jsonschema::Validator;
use measure::{
    Degenerate, Footer, ImageProof, Line, Outcome, ProofVerdict, RequestRecord, RunLimit, RunLog, RunSummary, SloLimit,
    Statistic, Summarise, TimeLimit,
};
use serde_json::{Value, json};

fn text(name: &str) -> Value {
    serde_json::from_str(match name {
        "run" => include_str!("../../../../schema/run.schema.json"),
        _ => include_str!("../../../../schema/summary.schema.json"),
    })
    .unwrap()
}

fn schema(name: &str) -> Validator {
    jsonschema::validator_for(&text(name)).unwrap()
}

fn fits(schema: &Validator, value: &Value) {
    let errors: Vec<String> = schema.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path)).collect();
    assert_eq!(errors, Vec::<String>::new(), "{value}");
}

/// Every single change of these kinds must be refused: a field more in an object, a value of another type, and, of a
/// summary (all whose fields but one are required), a field less.
fn refuses(schema: &Validator, value: &Value, open: &[&str]) {
    for path in objects(value, "", open) {
        let mut wrong = value.clone();
        wrong.pointer_mut(&path).unwrap()["unheard_of"] = json!(1);
        assert!(!schema.is_valid(&wrong), "a field more at {path:?}");
        let keys: Vec<String> = value.pointer(&path).unwrap().as_object().unwrap().keys().cloned().collect();
        for key in keys.iter().filter(|key| !open.contains(&key.as_str())) {
            let mut wrong = value.clone();
            wrong.pointer_mut(&path).unwrap()[key] = json!({"no": ["type", "of", "ours"]});
            assert!(!schema.is_valid(&wrong), "another type at {path}/{key}");
        }
    }
}

/// Pointers to all objects whose fields are ours.
fn objects(value: &Value, path: &str, open: &[&str]) -> Vec<String> {
    match value {
        Value::Object(map) => {
            let inner = map.iter().filter(|(key, _)| !open.contains(&key.as_str()));
            let inner = inner.flat_map(|(key, value)| objects(value, &format!("{path}/{key}"), open));
            std::iter::once(path.to_owned()).chain(inner).collect()
        }
        Value::Array(list) => {
            list.iter().enumerate().flat_map(|(i, value)| objects(value, &format!("{path}/{i}"), open)).collect()
        }
        _ => Vec::new(),
    }
}

fn line(line: Line) -> Value {
    // Through text, as on the disk.
    serde_json::from_str(&serde_json::to_string(&line).unwrap()).unwrap()
}

fn rich_request() -> RequestRecord {
    let mut record = request(3, "r90 t100 e110 g120 k130 f140 u150 n160 x170 d180 o190", 1145, 4);
    (record.headers_ns, record.status, record.server_id) = (Some(80 * MS), Some(200), Some("chatcmpl-1".into()));
    record.connection = Some(measure::Connection { id: 1, reused: 0, connect_ns: 5, reopened: true });
    record.images = vec![0, 1];
    record.events[1].tokens = Some(4);
    record.events[2].kernel_ns = None;
    let usage = record.usage.as_mut().unwrap();
    (usage.cached, usage.reasoning) = (Some(16), Some(2));
    (record.retokenised, record.logprobs) = (Some(4), vec![-0.25, -1.5]);
    (record.text, record.reasoning) = (Some("答".into()), Some("嗯".into()));
    record.text_sha256 = Some("00".repeat(32));
    record.degenerate = Some(Degenerate::Repeats("!!!!".into()));
    record
}

fn rich_header() -> measure::Header {
    header_with(&json!({
        "label": "L", "card": "C", "driver": "D", "plan": {"anything": ["goes"]}, "expected_image_tokens": [1131, null],
        "server": {
            "url": "u", "model": "m", "version": {"version": "0.32.0"}, "models": {"data": []},
            "metric_names": ["vllm:num_requests_running"], "software": "uvicorn",
        },
        "client": {"os": "linux x86_64", "cpu": "c", "cores": 2, "kernel_stamps": true},
        "images": [{
            "name": "a.jpg", "sha256": "00", "width": 1080, "height": 810, "mode": "RGB", "mime": "image/jpeg",
            "exif_orientation": 6, "bytes": 7, "animated": 3, "synthetic": "noise:1x1",
            "resized_from": {
                "sha256": "00", "width": 9, "height": 9, "mode": "P", "mime": "image/gif", "exif_orientation": 1,
                "filter": "lanczos3",
            },
            "altered": {"how": "inverted", "from_sha256": "00"},
        }],
        "prompts": [{"text": "请描述图片", "chars": 5, "sha256": "00"}],
        "expectations": [{
            "prompt": 0, "images": [0], "answer": "a", "facts": [{"fact": "sun", "any": ["sun"], "none": ["no sun"]}],
        }],
    }))
}

fn rich_footer() -> Footer {
    Footer {
        interrupted: Some("SIGINT".into()),
        retokenised: vec![(0, 4)],
        image_proof: Some(ImageProof {
            verdict: ProofVerdict::Seen,
            with_image: Some(1145),
            without_image: Some(11),
            expected: Some(1131),
            images: 1,
            effect: Some(true),
            words_changed: Some(false),
            logprob_change: Some(0.5),
            question: Some("Describe the image.".into()),
        }),
        wall_clock_step_ns: Some(-7),
        server_times: vec![measure::ServerTime { name: "a:b_seconds".into(), n: 4, mean_ns: 5 }],
        client_cpu_ns: Some(1),
        client_cpu_load_ns: Some(1),
        client_rss_bytes_max: Some(1),
        proxy: Some("http://p".into()),
        ..footer(3)
    }
}

#[test]
fn lines_of_a_log() {
    let schema = schema("run");
    let mut left_out = rich_request();
    left_out.events.splice(2..2, rich_request().events.repeat(2));
    left_out.leave_out_events();
    left_out.degenerate = Some(Degenerate::BadLogprobs(String::new()));
    let planned = RequestRecord::planned(0, measure::Phase::Warmup);
    for record in [rich_request(), left_out, planned.clone()] {
        let value = line(Line::Request(Box::new(record)));
        fits(&schema, &value);
        refuses(&schema, &value, &[]);
    }
    for value in [line(Line::Header(Box::new(rich_header()))), line(Line::Header(Box::new(header())))] {
        fits(&schema, &value);
        refuses(&schema, &value, &["plan", "version", "models"]);
    }
    for value in [line(Line::Footer(Box::new(rich_footer()))), line(Line::Footer(Box::default()))] {
        fits(&schema, &value);
        refuses(&schema, &value, &[]);
    }
    let words = || "w".to_owned();
    for outcome in [
        Outcome::Complete,
        Outcome::Truncated { reason: words() },
        Outcome::ServerError { message: words() },
        Outcome::TimedOut { limit: TimeLimit::FirstToken },
        Outcome::TimedOut { limit: TimeLimit::Idle },
        Outcome::TimedOut { limit: TimeLimit::Total },
        Outcome::ConnectFailed { message: words() },
        Outcome::NotSent { reason: words() },
        Outcome::Cancelled,
    ] {
        fits(&schema, &line(Line::Request(Box::new(RequestRecord { outcome, ..planned.clone() }))));
    }
}

#[test]
fn a_summary() {
    let schema = schema("summary");
    let goodput = vec![SloLimit { metric: "ttft_ms".into(), max: 500.0 }];
    let limit = |metric: &str, statistic| RunLimit { metric: metric.into(), statistic, max: 500.0 };
    let slo = vec![limit("ttft_ms", Statistic::Mean), limit("nobody_ms", Statistic::Max)];
    let record = |index| RequestRecord { index, body_bytes: 1 << 20, ..rich_request() };
    let first = RequestRecord { phase: measure::Phase::Accuracy, ..record(0) };
    let records = std::iter::once(first).chain((1..401).map(record)).collect();
    let mut rich = RunSummary::of(
        &RunLog { header: rich_header(), records, footer: Some(rich_footer()) },
        &Summarise { goodput, slo, min_score: Some(0.5), ..by_own_reads() },
    );
    rich.cautions = cautions::examples();
    let poor = RunSummary::of(&RunLog { footer: None, ..log(Vec::new()) }, &Summarise::default());
    for summary in [rich, poor] {
        let value: Value = serde_json::from_str(&serde_json::to_string(&summary).unwrap()).unwrap();
        fits(&schema, &value);
        refuses(&schema, &value, &["by_outcome", "by_cause", "groups"]);
        let back: RunSummary = serde_json::from_value(value.clone()).unwrap();
        assert_eq!((back.counts, back.totals, back.cautions), (summary.counts, summary.totals, summary.cautions));
        assert_eq!((back.run, back.slo, back.image_proof), (summary.run, summary.slo, summary.image_proof));
        assert_eq!(back.grade, summary.grade);
        for key in value
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| !["goodput", "grade", "image_proof", "server_times"].contains(&key.as_str()))
        {
            let mut wrong = value.clone();
            wrong.as_object_mut().unwrap().shift_remove(key);
            assert!(!schema.is_valid(&wrong), "without {key}");
        }
    }
}

#[test]
fn every_field_is_described() {
    fn walk(value: &Value, path: &str) {
        if let Some(fields) = value["properties"].as_object() {
            for (name, field) in fields {
                let words = field["description"].as_str().unwrap_or_default();
                assert!(words.ends_with('.'), "{path}/{name}: {words:?}");
            }
        }
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| walk(value, &format!("{path}/{key}"))),
            Value::Array(list) => list.iter().for_each(|value| walk(value, path)),
            _ => {}
        }
    }
    walk(&text("run"), "run");
    walk(&text("summary"), "summary");
}
