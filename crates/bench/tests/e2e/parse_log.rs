//! `parse-log`: logs on the disk → CSV, with what there is to say about them.

use crate::rig::{command, data, stream, text_run};

const HEAD: &str = "Total input tokens,Total image and input tokens,Total generated tokens,Successful requests,Mean TTFT (ms),Mean TPOT (ms),Mean ITL (ms),Request throughput (req/s),Output token throughput (tok/s),Benchmark duration (s)";
const ACCURACY: &str = "3,1145,97,1,81.17,16.42,16.25,0.60,58.49,1.66";
const PERFORMANCE: &str = "3,1145,512,1,82.05,16.44,16.41,0.12,60.34,8.48";

/// Runs `parse-log`: stdout, stderr, status.
fn parse_log(words: &[&str]) -> (String, String, i32) {
    command(&[&["parse-log"], words].concat())
}

#[test]
fn one_log_gives_the_scripts_columns_and_no_word_more() {
    for (log, row) in [("logs/seed_accuracy.txt", ACCURACY), ("logs/seed_performance.txt", PERFORMANCE)] {
        assert_eq!(parse_log(&[&data(log)]), (format!("{HEAD}\n{row}\n"), String::new(), 0), "{log}");
    }
    let (answers, stderr, status) = parse_log(&["--answers", &data("logs/seed_accuracy.txt")]);
    assert!(answers.starts_with("image,answer\n,这张图片展示了一辆黄色的自卸卡车"), "{answers}");
    assert_eq!((stderr.as_str(), status), ("", 0));
}

#[test]
fn several_logs_say_which_row_is_whose() {
    let [a, b] = [data("logs/seed_accuracy.txt"), data("logs/seed_performance.txt")];
    let want = format!("{HEAD},file\n{ACCURACY},{a}\n{PERFORMANCE},{b}\n");
    assert_eq!(parse_log(&[&a, &b]), (want, String::new(), 0));
    let (flagged, _, _) = parse_log(&["--flags", &a, &b]);
    assert_eq!(flagged, format!("{HEAD},flags,file\n{ACCURACY},,{a}\n{PERFORMANCE},,{b}\n"));
    let (answers, _, _) = parse_log(&["--answers", &a, &a]);
    assert!(answers.starts_with("image,answer,file\n") && answers.matches(&a).count() == 2, "{answers}");
}

#[test]
fn a_log_without_what_was_asked_for_is_named_and_makes_the_status_1() {
    let folder = tempfile::TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (server, answer) = (write("server.log", "INFO: started\n"), write("answer.log", "输出结果： 一辆卡车\n"));
    let block = data("logs/seed_performance.txt");
    let check = |words: &[&str], stdout: &str, en: &str, zh: &str| {
        for (lang, part) in [("en", en), ("zh", zh)] {
            let (out, stderr, status) = parse_log(&[words, &["--lang", lang]].concat());
            assert_eq!((out.as_str(), status), (stdout, 1), "{stderr}");
            assert!(stderr.lines().count() == 1 && stderr.contains(part), "{stderr}");
        }
    };
    let head = format!("{HEAD}\n");
    let nothing = format!("{server}: neither a benchmark block");
    check(&[&server], &head, &nothing, &format!("{server}: 既没有性能结果块"));
    check(&[&answer], &head, "no benchmark block was found, but 1 answer(s): --answers", "1 个回答：用 --answers");
    check(&["--answers", &block], "image,answer\n", "leave --answers out", "去掉 --answers");
    // What the others hold is written all the same.
    let rows = format!("{HEAD},file\n{PERFORMANCE},{block}\n");
    check(&[&server, &block], &rows, &nothing, "没有性能结果块");
}

#[test]
fn a_log_that_cannot_be_read_is_a_bad_argument() {
    let check = |lang: &str, part: &str| {
        let (stdout, stderr, status) = parse_log(&[&data("logs/seed_accuracy.txt"), "/nowhere.log", "--lang", lang]);
        assert_eq!((stdout.as_str(), status), ("", 2));
        assert!(stderr.contains("/nowhere.log") && stderr.contains(part), "{stderr}");
    };
    check("en", "a log file is expected");
    check("zh", "应为日志文件");
}

#[test]
fn our_own_output_is_a_log() {
    let run = text_run(stream(|_| ()), "").0.expect(0);
    let path = run.folder.join("x.log");
    std::fs::write(&path, &run.stdout).unwrap();
    let (csv, stderr, status) = parse_log(&[path.to_str().unwrap(), "--flags", "--bom"]);
    let rows: Vec<&str> = csv.trim_start_matches('\u{feff}').lines().collect();
    assert!(csv.starts_with('\u{feff}') && rows.len() == 2 && rows[0].ends_with(",flags"), "{csv}");
    assert!(rows[1].contains(&run.line("Mean TTFT (ms):")));
    // Nobody knows the text's tokens there; nothing else is worth a word.
    assert_eq!(status, 0, "{stderr}");
}
