//! Pictures whose truth is known: drawn into a folder, sent as synthetic images.

use crate::rig::{Client, command, serve, stream};
use std::path::Path;

fn read_json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_folder_of_scenes_holds_pictures_their_truth_and_what_must_be_said() {
    let home = tempfile::TempDir::new().unwrap();
    let folder = home.path().join("scenes");
    let path = folder.to_str().unwrap();
    let words = ["scenes", path, "--count", "3", "--first", "5", "--questions", "2", "--size", "640x360"];
    let (stdout, stderr, status) = command(&words);
    assert_eq!((status, stdout.as_str()), (0, ""), "{stderr}");
    assert!(stderr.starts_with("3 scenes: ") && stderr.trim_end().ends_with("expect.jsonl"), "{stderr}");
    let truth = read_json(&folder.join("held-out-000006.json"));
    assert_eq!((&truth["file"], &truth["seed"]), (&"held-out-000006.png".into(), &12.into()));
    let png = std::fs::read(folder.join("held-out-000006.png")).unwrap();
    let size = [16, 20].map(|at| u32::from_be_bytes(png[at..at + 4].try_into().unwrap()));
    assert_eq!(size, [640, 360]);
    let expect = std::fs::read_to_string(folder.join("expect.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = expect.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // A description and two short questions in each language.
    assert_eq!(lines.len(), 3 * 2 * 3);
    let described: Vec<_> =
        lines.iter().filter(|line| line["image"] == truth["file"] && line.get("facts").is_some()).collect();
    assert_eq!(described.iter().map(|line| &line["answer"]).collect::<Vec<_>>(), [&truth["zh"], &truth["en"]]);

    let (_, stderr, status) = command(&["scenes", path]);
    assert!(status == 2 && stderr.contains("holds scenes already"), "{stderr}");
    // A file is no folder.
    let (_, stderr, status) = command(&["scenes", &crate::rig::picture()]);
    assert!(status == 2 && stderr.contains("a folder that is there or can be made is expected"), "{stderr}");
}

#[test]
fn a_pool_is_of_training_scenes_and_stays_what_it_is() {
    let home = tempfile::TempDir::new().unwrap();
    let folder = home.path().join("pool");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.to_str().unwrap();
    let pool = |more: &[&str]| command(&[&["scenes", path, "--pool", "--count", "1"], more].concat());
    // A shard that nobody knows the scenes of.
    std::fs::write(folder.join("shard-00000.jsonl"), "").unwrap();
    let (_, stderr, status) = pool(&[]);
    assert!(status == 2 && stderr.contains("scenes that no pool.json of this version names"), "{stderr}");
    // With a head such as the program writes, the shard is taken for whole and nothing is drawn.
    std::fs::remove_file(folder.join("shard-00000.jsonl")).unwrap();
    scenes::pool::write(&folder, scenes::Split::Training, 0, 0, &mut |_| ()).unwrap();
    std::fs::write(folder.join("shard-00000.jsonl"), "").unwrap();
    let (_, stderr, status) = pool(&[]);
    assert_eq!(status, 0, "{stderr}");
    for (more, asked) in [
        (&["--split", "held-out"][..], "held-out scenes from number 0 on were asked for"),
        (&["--first", "4096"], "training scenes from number 4096 on were asked for"),
        (&["--first", "4096", "--lang", "zh"], "从第 4096 个起的训练用场景"),
    ] {
        let (_, stderr, status) = pool(more);
        assert!(status == 2 && stderr.contains(asked) && stderr.lines().count() == 1, "{more:?}: {stderr}");
    }
}

#[test]
fn what_cannot_be_drawn_is_refused_in_a_line() {
    for (words, said) in [
        (&["scenes", "/proc/nowhere"][..], "/proc/nowhere"),
        (&["scenes", "/proc/nowhere", "--count", "1000000"], "--expect can read"),
        (&["scenes", "/proc/nowhere", "--count", "30000", "--questions", "100"], "--count at most"),
        (&["scenes", "x", "--size", "10x10"], "sides of 64 to 8192"),
        (&["scenes", "x", "--size", "1080"], "width x height"),
        (&["scenes", "x", "--shift", "3"], "X,Y is expected"),
        (&["scenes", "x", "--brightness", "0"], "a factor from 0.05 to 5"),
        (&["scenes", "x", "--pool", "--grain"], "cannot be used with"),
        (&["scenes"], "<FOLDER>"),
    ] {
        let (stdout, stderr, status) = command(words);
        assert!(status != 0 && stdout.is_empty() && stderr.contains(said), "{words:?}: {stderr}");
    }
}

#[test]
fn scenes_are_synthetic_images_too() {
    let server = serve(stream(|_| ()));
    let words = "--synthetic-image scenes:320x240 --model scripted --num-prompts 2 --cold";
    let run = Client::new(words).at(&server).run().expect(0);
    let log = run.log();
    assert_eq!(log.header.images.len(), 2);
    let recipe = log.header.images[0].synthetic.as_deref().unwrap_or_default();
    assert!(recipe.starts_with("scenes:320x240 seed 0"), "{recipe}");
}
