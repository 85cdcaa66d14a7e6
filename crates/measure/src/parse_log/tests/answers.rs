//! Logs of accuracy runs, and the answers that must come out of them.

use super::super::{Note, parse};
use super::PERFORMANCE;

/// Image, size, answer, line.
type Expected<'a> = (Option<&'a str>, Option<(u32, u32)>, &'a str, usize);

#[test]
fn answers() {
    let check = |log: &str, expected: &[Expected<'_>]| {
        let report = parse(log);
        let found: Vec<_> =
            report.answers.iter().map(|a| (a.image.as_deref(), a.size, a.text.as_str(), a.line)).collect();
        assert_eq!(found, expected, "{log}");
    };
    check("输出结果： 甲", &[(None, None, "甲", 1)]);
    check("输出结果:甲", &[(None, None, "甲", 1)]);
    check("image size:  (7, 9)\n输出结果： a\nb\n\nc \n\n", &[(None, Some((7, 9)), "a\nb\n\nc", 2)]);
    check("输出结果：\n\n# a\n", &[(None, None, "# a", 1)]);
    check("输出结果：", &[(None, None, "", 1)]);
    check("输出结果： a\n  0%|   | 0/8\nb\n", &[(None, None, "a\nb", 1)]);
    check("输出结果： 没有输出结果：的一行", &[(None, None, "没有输出结果：的一行", 1)]);
    check("模型的输出结果： a", &[]);
    check(
        "Processing: 1/2\nImage : /data/my photos/a b.png\nimage size:  (4, 5)\n输出结果： a\n\
         Processing: 2/2\r\nImage:c.jpg\r\n输出结果： c\r\nImage : no\r\nProcessing: none\r\n",
        &[
            (Some("/data/my photos/a b.png"), Some((4, 5)), "a", 4),
            (Some("c.jpg"), None, "c\nImage : no\nProcessing: none", 7),
        ],
    );
    check("image size:  (7, 9)\nProcessing: a\nImage : a\n输出结果： b", &[(Some("a"), None, "b", 4)]);
    check("Processing: a\n输出结果： b\n输出结果： c", &[(None, None, "b", 2), (None, None, "c", 3)]);
    check("Image : a.png\n输出结果： b", &[(None, None, "b", 2)]);
    check(&format!("输出结果： a\n{PERFORMANCE}later\n输出结果： b"), &[(None, None, "a", 1), (None, None, "b", 26)]);
    check("2026-01-01 12:00:00 INFO 输出结果： a", &[(None, None, "a", 1)]);
}

#[test]
fn remarks_on_answers() {
    let check = |log: &str, expected: &[Note]| assert_eq!(parse(log).notes, expected, "{log}");
    let image = "a b.png".to_owned();
    check("Processing: 1\nImage : a b.png\n输出结果： x", &[Note::ImageWithSpaces { line: 3, image: image.clone() }]);
    check(
        "Processing: 1\nImage : a b.png\nProcessing: 2\nImage : c\n输出结果： x",
        &[Note::AnswerMissing { line: 2, image }],
    );
    // The log of one image, and of several such runs, is nothing odd; an answer without a name among named ones is.
    check("image size:  (7, 9)\n输出结果： x", &[]);
    check("输出结果： x\n输出结果： y", &[]);
    check("输出结果： x\nProcessing: 1\nImage : c\n输出结果： y", &[Note::AnswerUnnamed { line: 1 }]);
    check("Processing: 1\nImage : c\n输出结果： y\n输出结果： x", &[Note::AnswerUnnamed { line: 4 }]);
    check("", &[]);
    check("Processing: 45%|###  | 9/20\nMean TTFT (ms): 5", &[]);
}
