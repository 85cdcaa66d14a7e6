//! `completions` and `man`: each names every flag and sub-command that the help names.

use crate::rig::command;
use measure::Lang;
use std::collections::BTreeSet;
use tempfile::TempDir;

/// The long flags that are shown of a command and of those under it.
fn flags(command: &clap::Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long());
    let under = command.get_subcommands().filter(|command| !command.is_hide_set()).flat_map(flags);
    own.map(str::to_owned).chain(under).collect()
}

#[test]
fn completions_of_three_shells() {
    let flags = flags(&bench::cli::command(Lang::En));
    assert!(flags.len() > 70 && flags.contains("image-path") && flags.contains("definitions"));
    for (shell, start) in
        [("bash", "_vlm-benchmark() {"), ("zsh", "#compdef vlm-benchmark"), ("fish", "# Print an optspec")]
    {
        let (script, stderr, status) = command(&["completions", shell]);
        assert_eq!((stderr.as_str(), status), ("", 0), "{shell}");
        assert!(script.starts_with(start), "{shell}: {}", &script[..80]);
        for word in flags.iter().map(String::as_str).chain(["report", "compare", "calibrate", "parse-log"]) {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert!(!script.contains("vlm-server"), "{shell}: the hidden sub-command's help");
    }
    // The case of a sub-command has the name that is looked for (clap_complete 4.6 had two).
    let (script, ..) = command(&["completions", "bash"]);
    for name in ["vlm__benchmark__report", "vlm__benchmark__parse__log"] {
        assert!(script.contains(&format!("cmd=\"{name}\"")) && script.contains(&format!(" {name})")), "{name}");
    }
    let (script, ..) = command(&["completions", "fish", "--lang", "zh"]);
    assert!(script.contains("打印 shell 的补全脚本"));
    let (stdout, stderr, status) = command(&["completions", "tcsh"]);
    assert_eq!((stdout.as_str(), status), ("", 2));
    assert!(stderr.contains("tcsh") && stderr.contains("bash, elvish, fish"), "{stderr}");
}

#[test]
fn man_pages() {
    let folder = TempDir::new().unwrap();
    let pages = folder.path().join("share/man1");
    let words = ["man", pages.to_str().unwrap()];
    assert_eq!(command(&words), (String::new(), String::new(), 0));
    let mut names: Vec<String> =
        std::fs::read_dir(&pages).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    // The hidden sub-command that is the server has none.
    let expected = ["-calibrate", "-compare", "-completions", "-man", "-parse-log", "-report", "-scenes", ""];
    assert_eq!(names, expected.map(|name| format!("vlm-benchmark{name}.1")));
    let page = std::fs::read_to_string(pages.join("vlm-benchmark.1")).unwrap();
    for (flag, shown) in [("image_path", r"\-\-image\-path"), ("ignore_eos", r"\-\-ignore\-eos")] {
        assert!(page.contains(shown), "{flag}");
    }
    let (_, stderr, status) = command(&["man", "/dev/null/pages"]);
    assert_eq!(status, 2);
    assert!(stderr.starts_with("error: man /dev/null/pages: Not a directory"), "{stderr}");
}
