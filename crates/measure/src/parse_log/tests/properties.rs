//! What holds for every text.

use proptest::prelude::*;

use super::super::parse;
use super::{HEADING, PERFORMANCE, PERFORMANCE_ROW, RULE, some};
use crate::lang::Lang;

/// Lines that stand between blocks: anything, and bits of what the parser looks for.
fn noise() -> impl Strategy<Value = String> {
    let bits = prop::sample::select(vec![
        RULE,
        "Mean TTFT (ms): 9",
        "Total input tokens: 8",
        "输出结果： x",
        "image size:  (1, 2)",
        "Processing: a",
        "Image : a",
        "Running benchmark with batch size 3",
        "\u{1b}[31m",
        "\r",
        "n/a",
        "Failed requests: 2",
        "Backend: sglang",
        "=",
        "(avg 3 rounds)",
        "\u{feff}",
        "\n",
        "100%|##| 1/1",
    ]);
    let any = "[^\n]{0,40}".prop_filter("no title", |line| !line.contains("Serving"));
    let piece = prop_oneof![bits.prop_map(str::to_owned), any];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.join("\n") + "\n")
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in any::<String>(), pieces in prop::collection::vec(noise(), 0..6)) {
        parse(&text);
        let log = pieces.join(HEADING);
        let report = parse(&log);
        prop_assert_eq!(report.blocks.len(), pieces.len().saturating_sub(1));
        for block in &report.blocks {
            prop_assert!(block.line <= block.end_line);
            prop_assert!(block.complete != block.flags().contains(&"cut-short".to_owned()));
        }
        for note in &report.notes {
            prop_assert!(!note.text(Lang::En).is_empty() && !note.text(Lang::Zh).is_empty());
        }
    }

    #[test]
    fn n_blocks_stay_n_blocks_whatever_stands_between(pieces in prop::collection::vec(noise(), 1..6)) {
        let log = pieces.join(PERFORMANCE);
        let report = parse(&log);
        prop_assert_eq!(report.blocks.len(), pieces.len() - 1);
        for block in &report.blocks {
            prop_assert_eq!(block.row(), some(PERFORMANCE_ROW));
            prop_assert!(block.complete);
            prop_assert_eq!(block.flags(), Vec::<String>::new());
        }
    }
}
