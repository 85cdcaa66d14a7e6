//! Logs as they are found, and what must come out of them.

mod answers;
mod properties;

use super::{Block, COLUMNS, Column, Flavour, LogReport, Note, parse};
use crate::lang::Lang;

const ACCURACY: &str = include_str!("../../../../../tests/data/logs/seed_accuracy.txt");
const PERFORMANCE: &str = include_str!("../../../../../tests/data/logs/seed_performance.txt");
const VLLM: &str = include_str!("../../../../../tests/data/logs/vllm_bench_random_mm_c4.txt");
const VLLM_CUSTOM: &str = include_str!("../../../../../tests/data/logs/vllm_bench_custom_c4.txt");

const ACCURACY_ROW: [&str; 10] = ["3", "1145", "97", "1", "81.17", "16.42", "16.25", "0.60", "58.49", "1.66"];
const PERFORMANCE_ROW: [&str; 10] = ["3", "1145", "512", "1", "82.05", "16.44", "16.41", "0.12", "60.34", "8.48"];
const HEADING: &str = "============ Serving Benchmark Result ============";
const RULE: &str = "==================================================";

/// SGLang's lines with made-up values: 30 text and 2262 vision tokens make 2292.
const SGLANG: &str = "
============ Serving Benchmark Result ============
Backend:                                 sglang-oai-chat
Traffic request rate:                    inf
Max request concurrency:                 2
Successful requests:                     2
Benchmark duration (s):                  4.00
Total input tokens:                      2292
Total input text tokens:                 30
Total input vision tokens:               2262
Total generated tokens:                  64
Total generated tokens (retokenized):    63
Request throughput (req/s):              0.50
Input token throughput (tok/s):          573.00
Output token throughput (tok/s):         16.00
Peak output token throughput (tok/s):    32.00
Peak concurrent requests:                2
Total token throughput (tok/s):          589.00
Concurrency:                             1.90
----------------End-to-End Latency----------------
Mean E2E Latency (ms):                   3800.00
---------------Time to First Token----------------
Mean TTFT (ms):                          700.00
---------------Inter-Token Latency----------------
Mean ITL (ms):                           100.00
Max ITL (ms):                            130.00
-----Time per Output Token (excl. 1st token)------
Mean TPOT (ms):                          100.01
==================================================
";

fn some(row: [&'static str; 10]) -> [Option<&'static str>; 10] {
    row.map(Some)
}

fn only(report: &LogReport) -> &Block {
    assert_eq!(report.blocks.len(), 1, "{report:#?}");
    &report.blocks[0]
}

/// A log of one block: its row and its flags.
fn check(log: &str, row: [Option<&str>; 10], flags: &[&str]) {
    let report = parse(log);
    let block = only(&report);
    assert_eq!(block.row(), row, "{log}");
    assert_eq!(block.flags(), flags, "{log}");
}

/// The performance block after a change.
fn changed(from: &str, to: &str) -> String {
    assert!(PERFORMANCE.contains(from));
    PERFORMANCE.replace(from, to)
}

/// The performance row with one cell replaced.
fn row_with(column: Column, cell: Option<&'static str>) -> [Option<&'static str>; 10] {
    let mut row = some(PERFORMANCE_ROW);
    row[column as usize] = cell;
    row
}

#[test]
fn the_two_blocks_of_the_script() {
    let report = parse(ACCURACY);
    let block = only(&report);
    assert_eq!(block.row(), some(ACCURACY_ROW));
    assert_eq!((block.line, block.end_line), (3, 24));
    assert!(block.complete && block.standard_heading);
    assert_eq!(block.flavour, Flavour::Seed);
    assert_eq!(block.flags(), Vec::<String>::new());
    // An ordinary log deserves no remark.
    assert_eq!(report.notes, []);
    let [answer] = report.answers.as_slice() else {
        panic!("{:?}", report.answers);
    };
    assert_eq!((answer.image.as_deref(), answer.size), (None, Some((1080, 810))));
    assert!(answer.text.starts_with("这张图片展示了") && answer.text.ends_with("道路施工现场。"));

    let report = parse(PERFORMANCE);
    assert_eq!(only(&report).row(), some(PERFORMANCE_ROW));
    assert_eq!(report.answers, []);
    assert_eq!(report.notes, []);
}

#[test]
fn numbers_are_read_in_their_units() {
    let report = parse(ACCURACY);
    let block = only(&report);
    assert_eq!(block.number(Column::MeanTtftMs), Some(81.17));
    assert_eq!(block.number(Column::ImageAndInputTokens), Some(1145.0));
    assert_eq!(block.text(Column::RequestThroughput), Some("0.60"));
}

#[test]
fn the_same_block_in_other_clothes() {
    let lines = |f: fn(&str) -> String| PERFORMANCE.lines().map(f).collect::<String>();
    let prefixed: fn(&str) -> String = |line| format!("2026-01-01 12:00:00 INFO  {line}\n");
    let logs = [
        PERFORMANCE.replace('\n', "\r\n"),
        PERFORMANCE.replace('\n', "\r"),
        format!("\u{feff}{PERFORMANCE}"),
        lines(|line| format!("{}\n", line.trim_end())),
        lines(|line| format!("\u{1b}[32m{line}\u{1b}[0m\n")),
        lines(|line| format!("bench-1  | {line}\n")),
        lines(|line| format!("[rank0]: {line}\n")),
        lines(|line| format!("2026-01-01T12:00:00Z stdout F {line}\n")),
        lines(|line| format!("# {line}\n")),
        lines(|line| format!("{line}\nINFO: 127.0.0.1 - \"POST /v1/chat/completions\" 200\n")),
        lines(|line| format!(" 45%|###      | 9/20\r 50%|###      | 10/20\r{line}\n")),
        lines(|line| format!("{line}\n-----\n=====\n")),
        lines(|line| format!("{}\n", line.replace(":   ", ":\t"))),
        changed(HEADING, &format!("100%|###| 8/8 [00:13<00:00,  1.6s/it]{HEADING}")),
        changed(HEADING, &format!("=={HEADING}==")),
        lines(prefixed),
        format!("Mean TTFT (ms): 1\n{PERFORMANCE}Mean TTFT (ms): 2\nMean ITL (ms): n/a\n"),
    ];
    for log in &logs {
        check(log, some(PERFORMANCE_ROW), &[]);
        assert!(parse(log).blocks[0].complete, "{log}");
    }
}

#[test]
fn what_the_old_parser_drops_is_kept() {
    check(
        &changed("82.05     \nMedian", "12345.67\nMedian"),
        row_with(Column::MeanTtftMs, Some("12345.67")),
        &["ttft-over-5000"],
    );
    check(&changed("82.05     \nMedian", "5000.00\nMedian"), row_with(Column::MeanTtftMs, Some("5000.00")), &[]);
    check(
        &changed(HEADING, "==== Serving Benchmark Result (avg 3 rounds) =====").replace(RULE, "================"),
        some(PERFORMANCE_ROW),
        &["averaged", "other-heading"],
    );
    check(&changed(HEADING, "=== Serving Benchmark Result ==="), some(PERFORMANCE_ROW), &["other-heading"]);
    check(
        &changed("tokens:                      3 ", "tokens:                      n/a"),
        row_with(Column::InputTokens, Some("n/a")),
        &["n/a"],
    );
    check(
        &changed("16.41     \nMedian", "nan       \nMedian"),
        row_with(Column::MeanItlMs, Some("nan")),
        &["not-finite"],
    );
    check(
        &changed("Request throughput (req/s):              0.12", "Request throughput (req/s): inf"),
        row_with(Column::RequestThroughput, Some("inf")),
        &["not-finite"],
    );
    check(&changed("16.44     \nMedian TPOT", "XXXX\nMedian TPOT"), row_with(Column::MeanTpotMs, None), &["missing"]);
    check(
        &changed("Benchmark duration (s):                  8.48      \n", ""),
        row_with(Column::DurationS, None),
        &["missing"],
    );
}

#[test]
fn averaged_blocks_say_how_many_rounds() {
    let log = changed(HEADING, "==== Serving Benchmark Result (avg 3 rounds) =====");
    let report = parse(&log);
    let block = only(&report);
    assert_eq!((block.rounds, block.flavour), (Some(3), Flavour::Averaged));
    assert_eq!(report.notes, [Note::Averaged { line: 2, rounds: 3 }]);
}

#[test]
fn headings() {
    let check = |line: &str, blocks: usize| {
        assert_eq!(parse(line).blocks.len(), blocks, "{line:?}");
    };
    check("= Serving Benchmark Result =", 1);
    check("=Serving Benchmark Result=", 1);
    check("== Serving Benchmark Result (avg 12 rounds) ==", 1);
    check("Serving Benchmark Result", 0);
    check("## Serving Benchmark Result", 0);
    check("== Serving Benchmark Result", 0);
    check("s=' Serving Benchmark Result ', n=50, c='='", 0);
    check("== Serving Benchmark Result (avg ==", 0);
}

#[test]
fn blocks_cut_short() {
    let cut = PERFORMANCE.find("Median TTFT").unwrap_or_default();
    let head = &PERFORMANCE[..cut];
    let mut row = some(PERFORMANCE_ROW);
    row[Column::MeanTpotMs as usize] = None;
    row[Column::MeanItlMs as usize] = None;
    check(head, row, &["cut-short", "missing"]);
    let note = Note::CutShort { line: 2, end_line: 12, missing: vec![Column::MeanTpotMs, Column::MeanItlMs] };
    assert_eq!(parse(head).notes, [note]);
    check(HEADING, [None; 10], &["cut-short", "missing"]);

    // Whatever begins another run ends the block that was cut.
    let openers = [
        PERFORMANCE.to_owned(),
        format!("image size:  (1, 1)\n{PERFORMANCE}"),
        format!("Running benchmark with batch size 2\n{PERFORMANCE}"),
        format!("Processing: a\nImage : a.png\n输出结果： Mean ITL (ms): 5\n{PERFORMANCE}"),
    ];
    for opener in &openers {
        let blocks = parse(&format!("{head}{opener}")).blocks;
        assert_eq!(blocks.len(), 2, "{opener}");
        assert_eq!(blocks[0].row(), row, "{opener}");
        assert_eq!(blocks[1].row(), some(PERFORMANCE_ROW), "{opener}");
        assert_eq!((blocks[0].complete, blocks[1].complete), (false, true));
    }
}

#[test]
fn blocks_of_vllm_bench_serve() {
    let row = ["9264", "", "256", "8", "12445.04", "197.76", "191.58", "0.22", "6.88", "37.20"]
        .map(|cell| (!cell.is_empty()).then_some(cell));
    check(VLLM, row, &["vllm-bench", "ttft-over-5000", "input-tokens-unsaid"]);
    let report = parse(VLLM);
    assert_eq!(only(&report).failed, Some(0));
    assert_eq!(only(&report).flavour, Flavour::VllmBench);
    assert_eq!(report.notes.last(), Some(&Note::InputUnsaid { line: 12 }));

    let row = ["9160", "", "512", "8", "905.38", "88.17", "87.30", "0.61", "38.93", "13.15"]
        .map(|cell| (!cell.is_empty()).then_some(cell));
    check(VLLM_CUSTOM, row, &["vllm-bench", "input-tokens-unsaid"]);
    let failed = VLLM_CUSTOM.replace("Failed requests:                         0", "Failed requests: 3");
    check(&failed, row, &["vllm-bench", "failed=3", "input-tokens-unsaid"]);

    // The forerunner prints the script's lines without the one for images.
    let older = changed("Total image and input tokens:            1145      \n", "");
    let row = row_with(Column::ImageAndInputTokens, None);
    check(&older, row, &["vllm-bench", "input-tokens-unsaid"]);
}

#[test]
fn blocks_of_sglang() {
    let row = ["30", "2292", "64", "2", "700.00", "100.01", "100.00", "0.50", "16.00", "4.00"];
    check(SGLANG, some(row), &["sglang"]);
    assert_eq!(parse(SGLANG).notes, [Note::SglangInput { line: 2 }]);

    let older = SGLANG
        .replace("Total input text tokens:                 30\n", "")
        .replace("Total input vision tokens:               2262\n", "");
    let mut row = some(row);
    row[..2].copy_from_slice(&[Some("2292"), None]);
    check(&older, row, &["sglang", "input-tokens-unsaid"]);
}

#[test]
fn two_writers_in_one_block() {
    let twice = changed("Mean ITL", "Mean TTFT (ms):       90.00\nMean TTFT (ms):   82.05\nMean ITL");
    check(&twice, some(PERFORMANCE_ROW), &["conflicting"]);
    let note =
        Note::Conflicting { line: 20, column: Column::MeanTtftMs, kept: "82.05".to_owned(), other: "90.00".to_owned() };
    assert_eq!(parse(&twice).notes, [note]);
    // A line of its own beats one that stands after other words.
    let prefixed = changed(HEADING, &format!("{HEADING}\nwarm-up: Mean TTFT (ms): 7"));
    check(&prefixed, some(PERFORMANCE_ROW), &[]);
}

#[test]
fn batch_size_is_for_the_next_block() {
    let check = |line: &str, expected: Option<u64>| {
        let report = parse(&format!("{line}\n{PERFORMANCE}{PERFORMANCE}"));
        let sizes: Vec<_> = report.blocks.iter().map(|block| block.batch_size).collect();
        assert_eq!(sizes, [expected, None], "{line}");
    };
    check("Running benchmark with batch size 8", Some(8));
    check("Running benchmark with batch size: 16...", Some(16));
    check("\u{1b}[1m2026-01-01 12:00:00 INFO Running benchmark with batch size 128, logging\u{1b}[0m", Some(128));
    check("Running benchmark with batch size $B", None);
    check("nothing", None);
}

#[test]
fn a_mixed_log() {
    let log = [
        "$ ./sweep.sh\nRunning benchmark with batch size 1\n",
        ACCURACY,
        VLLM,
        "Running benchmark with batch size 4\n",
        &PERFORMANCE[..600],
        SGLANG,
        "\n\nTraceback (most recent call last):\n  ConnectionError\n",
        PERFORMANCE,
    ]
    .concat();
    let report = parse(&log);
    let seen: Vec<_> = report.blocks.iter().map(|block| (block.flavour, block.batch_size, block.complete)).collect();
    assert_eq!(
        seen,
        [
            (Flavour::Seed, Some(1), true),
            (Flavour::VllmBench, None, true),
            (Flavour::Seed, Some(4), false),
            (Flavour::Sglang, None, true),
            (Flavour::Seed, None, true),
        ]
    );
    assert_eq!(report.answers.len(), 1);
    for block in &report.blocks {
        let heading = log.split('\n').nth(block.line - 1).unwrap_or_default();
        assert_eq!(heading, HEADING);
    }
    let lines: Vec<_> = report.notes.iter().map(Note::line).collect();
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn every_note_speaks_both_languages() {
    let text = || "1".to_owned();
    let missing = vec![Column::MeanItlMs];
    let (line, column) = (12, Column::MeanTtftMs);
    let notes = [
        Note::TtftOverLimit { line, ttft_ms: text() },
        Note::Averaged { line, rounds: 3 },
        Note::OtherHeading { line },
        Note::CutShort { line, end_line: 13, missing: missing.clone() },
        Note::Missing { line, flavour: Flavour::VllmBench, missing },
        Note::NotANumber { line, column, value: text() },
        Note::Unreadable { line, column, value: text() },
        Note::Conflicting { line, column, kept: text(), other: text() },
        Note::Failed { line, failed: 3 },
        Note::SglangInput { line },
        Note::InputUnsaid { line },
        Note::AnswerUnnamed { line },
        Note::ImageWithSpaces { line, image: text() },
        Note::AnswerMissing { line, image: text() },
    ];
    for note in &notes {
        assert!(note.text(Lang::En).starts_with("line 12: "), "{note:?}");
        assert!(note.text(Lang::Zh).starts_with("第 12 行："), "{note:?}");
    }
    assert!(notes[0].text(Lang::En).contains("mean TTFT 1 ms is over 5000 ms"));
    assert!(notes[3].text(Lang::Zh).contains("缺少 `Mean ITL (ms)`"));
    assert!(notes[4].text(Lang::En).contains("this block of vllm-bench has no line `Mean ITL (ms)`"));
}

#[test]
fn the_header_is_the_scripts() {
    for label in COLUMNS {
        assert!(PERFORMANCE.contains(&format!("\n{label}:")), "{label}");
    }
}
