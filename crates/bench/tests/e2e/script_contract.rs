//! The commands of the script that this client replaces, and what they print.

use crate::rig::{Client, Run, body, picture, serve, stream, tokenizer};
use serve::Script;

/// 请描述图片 has 3 tokens; the scripted server bills it so, and 8 around the text, and 3 around the image's 1131.
fn script(tokens: u64) -> Script {
    let mut script = stream(|reply| reply.tokens = tokens);
    script.models = vec![tokenizer(), "served".into()];
    script.text_tokens.insert("请描述图片".into(), 3);
    script
}

fn seed(more: &str) -> Run {
    let server = serve(script(97));
    Client::new(&format!(
        "--image_path {} --prompt 请描述图片 --model {} --batch_size 1 {more}",
        picture(),
        tokenizer()
    ))
    .at(&server)
    .run()
    .expect(0)
}

/// Values of a run differ; everything else is the block to the letter.
fn check_block(block: &str) {
    const LABELS: [(&str, bool); 17] = [
        ("Successful requests:", true),
        ("Benchmark duration (s):", false),
        ("Total input tokens:", true),
        ("Total image and input tokens:", true),
        ("Total generated tokens:", true),
        ("Request throughput (req/s):", false),
        ("Output token throughput (tok/s):", false),
        ("Total Token throughput (tok/s):", false),
        ("Mean TTFT (ms):", false),
        ("Median TTFT (ms):", false),
        ("P99 TTFT (ms):", false),
        ("Mean TPOT (ms):", false),
        ("Median TPOT (ms):", false),
        ("P99 TPOT (ms):", false),
        ("Mean ITL (ms):", false),
        ("Median ITL (ms):", false),
        ("P99 ITL (ms):", false),
    ];
    let mut labels = LABELS.iter();
    for line in block.lines() {
        if line.starts_with(['=', '-']) {
            assert_eq!(line.chars().count(), 50, "{line}");
            continue;
        }
        let (label, is_integer) = labels.next().unwrap();
        let value = line[41..].trim_end();
        assert_eq!(line, format!("{label:<40} {value:<10}"), "{line:?}");
        assert_eq!(value.contains('.'), !is_integer, "{line:?}");
        assert!(value.parse::<f64>().is_ok(), "{line:?}");
    }
    assert_eq!(labels.next(), None);
}

#[test]
fn the_accuracy_run() {
    let run = seed("");
    let (answer, block) = run.stdout.split_at(run.stdout.find("============ Serving").unwrap());
    let mut lines = answer.lines();
    assert_eq!(lines.next(), Some("image size:  (1080, 810)"));
    assert!(lines.next().unwrap().starts_with("输出结果： #"), "{answer}");
    assert_eq!(lines.next(), None);
    check_block(block);
    assert_eq!(
        [
            run.line("Total input tokens:"),
            run.line("Total image and input tokens:"),
            run.line("Total generated tokens:")
        ],
        ["3", "1145", "97"]
    );
}

#[test]
fn the_performance_run() {
    let run = seed("--ignore-eos --output_len 512");
    let (head, block) = run.stdout.split_at(run.stdout.find("============ Serving").unwrap());
    assert_eq!(head, "image size:  (1080, 810)\n");
    check_block(block);
    assert_eq!(run.line("Total generated tokens:"), "512");
    assert_eq!(run.line("Total input tokens:"), "3");
}

#[test]
fn the_headings_to_the_letter() {
    let run = seed("");
    let headings: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with(['=', '-'])).collect();
    assert_eq!(
        headings,
        [
            "============ Serving Benchmark Result ============",
            "---------------Time to First Token----------------",
            "-----Time per Output Token (excl. 1st token)------",
            "---------------Inter-token Latency----------------",
            "==================================================",
        ]
    );
}

#[test]
fn the_run_with_a_served_model_name() {
    let server = serve(script(5));
    let words =
        format!("--image_path {} --prompt 请描述图片 --model {} --served-model-name served", picture(), tokenizer());
    Client::new(&words).at(&server).run().expect(0);
    assert!(server.records().iter().all(|record| body(record)["model"] == "served"));
}

#[test]
fn one_request_first_outside_every_figure() {
    let server = serve(script(5));
    let words = format!("--image_path {} --model {} --batch_size 3", picture(), tokenizer());
    let run = Client::new(&words).at(&server).run().expect(0);
    assert_eq!(server.records().len(), 4);
    assert_eq!(run.line("Successful requests:"), "3");
    // The first is alone: it has ended before any other came.
    let first_end = server.records()[0].ended_ns.unwrap();
    assert!(server.records()[1..].iter().all(|record| record.read_ns > first_end));
    assert!(run.has_caution("warm_cache"));
}

#[test]
fn the_request_is_the_scripts() {
    let server = serve(script(5));
    let words = format!("--image_path {} --prompt 请描述图片 --model {} --output_len 7", picture(), tokenizer());
    Client::new(&words).at(&server).run().expect(0);
    let body = body(&server.records()[0]);
    let content = &body["messages"][0]["content"];
    assert_eq!((&content[0]["type"], &content[0]["text"]), (&"text".into(), &"请描述图片".into()));
    assert_eq!(content[1]["type"], "image_url");
    assert!(content[1]["image_url"]["url"].as_str().unwrap().starts_with("data:image/png;base64,"));
    assert_eq!((&body["stream"], &body["temperature"], &body["max_tokens"]), (&true.into(), &0.0.into(), &7.into()));
    assert_eq!(body["stream_options"]["include_usage"], true);
    assert!(body.get("ignore_eos").is_none() && body.get("min_tokens").is_none());
}

#[test]
fn unknown_text_tokens_are_not_invented() {
    let mut script = script(5);
    script.tokenize = false;
    script.models = vec!["m".into()];
    let server = serve(script);
    let run = Client::new("--no-image --model m").at(&server).run().expect(0);
    assert_eq!(run.line("Total input tokens:"), "n/a");
    assert_eq!(run.line("Total Token throughput (tok/s):"), "n/a");
    assert!(run.has_caution("text_tokens_unknown"));
}

#[test]
fn chinese_talk_leaves_stdout_as_it_is() {
    let labels = |run: &Run| -> Vec<String> {
        run.stdout.lines().map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
    };
    let english = seed("--lang en");
    let chinese = seed("--lang zh");
    assert_eq!(labels(&english)[3..], labels(&chinese)[3..]);
    assert!(english.stderr.contains("caution") && chinese.stderr.contains("注意"));
}

#[test]
fn a_plan_without_a_server() {
    let run = Client::new("--no-image --model m --port 1 --dry-run").run().expect(0);
    let plan: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(plan["path"], "/v1/chat/completions");
    assert!(!run.folder.exists());
}
