//! Pictures: sent as they are, named by their content, counted, proved.

use crate::rig::{Client, Run, body, data, picture, serve, stream, text_run, tokenizer};
use base64::Engine;
use serve::{ImageBilling, Record, Script};

/// Bytes and MIME type of the images in a request.
fn sent(record: &Record) -> Vec<(Vec<u8>, String)> {
    let body = body(record);
    let parts = body["messages"][0]["content"].as_array().unwrap().clone();
    let urls = parts.iter().filter_map(|part| part["image_url"]["url"].as_str().map(str::to_owned));
    urls.map(|url| {
        let (head, data) = url.split_once(";base64,").unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
        (bytes, head.strip_prefix("data:").unwrap().to_owned())
    })
    .collect()
}

fn image_run(script: Script, words: &str) -> (Run, Vec<Record>) {
    let server = serve(script);
    let run = Client::new(&format!("--model scripted {words}")).at(&server).run();
    let records = server.records();
    (run, records)
}

#[test]
fn every_format_goes_out_untouched_under_its_own_type() {
    let index: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(data("pictures/formats/index.json")).unwrap()).unwrap();
    let server = serve(stream(|_| ()));
    let mut checked = 0;
    for entry in index.as_array().unwrap() {
        let (name, path) =
            (entry["name"].as_str().unwrap(), data(&format!("pictures/formats/{}", entry["name"].as_str().unwrap())));
        if entry["mime"].is_null() || entry["valid"] != true {
            continue;
        }
        let before = server.records().len();
        let run = Client::new(&format!("--model scripted --image_path {path} --ignore-eos --output_len 2"))
            .at(&server)
            .run()
            .expect(0);
        let images = sent(&server.records()[before]);
        assert_eq!(images, [(std::fs::read(&path).unwrap(), entry["mime"].as_str().unwrap().to_owned())], "{name}");
        let facts = &run.log().header.images[0];
        assert_eq!(
            (facts.width.into(), facts.height.into()),
            (entry["width"].clone(), entry["height"].clone()),
            "{name}"
        );
        assert_eq!(
            run.stdout.lines().next(),
            Some(format!("image size:  ({}, {})", facts.width, facts.height).as_str())
        );
        checked += 1;
    }
    assert!(checked >= 15, "{checked}");
}

#[test]
fn what_is_no_image_is_said_before_anything_is_sent() {
    for (name, part) in [("fake.png", "fake.png"), ("empty.jpg", "empty"), ("nowhere.png", "nowhere.png")] {
        let server = serve(stream(|_| ()));
        let path = data(&format!("pictures/formats/{name}"));
        let run = Client::new(&format!("--model scripted --image_path {path}")).at(&server).run().expect(2);
        assert!(run.stderr.contains(part), "{name}: {}", run.stderr);
        assert_eq!((server.records().len(), run.folder.exists()), (0, false), "{name}");
    }
    let run = Client::new(&format!("--model m --image_path {} --max-image-bytes 100", picture())).run().expect(2);
    assert!(run.stderr.contains("100"), "{}", run.stderr);
}

#[test]
fn an_orientation_is_said_and_the_line_stays_the_scripts() {
    let path = data("pictures/formats/jpeg_exif6.JPG");
    let run = image_run(stream(|_| ()), &format!("--image_path {path}")).0.expect(0);
    assert_eq!(run.stdout.lines().next(), Some("image size:  (40, 30)"));
    assert!(run.has_caution("image_turned") && run.stderr.contains("30×40"), "{}", run.stderr);
}

#[test]
fn several_images_in_one_request_and_their_order() {
    let other = data("pictures/formats/jpeg_exif6.JPG");
    for (flag, text_at) in [("--text-first", 0), ("--image-first", 2)] {
        let (run, records) =
            image_run(stream(|_| ()), &format!("--image_path {} --image_path {other} {flag}", picture()));
        run.expect(0);
        let content = body(&records[0])["messages"][0]["content"].clone();
        assert_eq!((content.as_array().unwrap().len(), &content[text_at]["type"]), (3, &"text".into()));
        let types: Vec<String> = sent(&records[0]).into_iter().map(|(_, mime)| mime).collect();
        assert_eq!(types, ["image/png", "image/jpeg"]);
    }
}

#[test]
fn a_folder_gives_different_images_and_one_answer_each() {
    let folder = tempfile::TempDir::new().unwrap();
    for (from, to) in [("png_rgb.png", "a.PNG"), ("jpeg_rgb.jpg", "b.Jpg"), ("webp_lossy.webp", "c.webp")] {
        std::fs::copy(data(&format!("pictures/formats/{from}")), folder.path().join(to)).unwrap();
    }
    std::fs::write(folder.path().join("notes.txt"), "x").unwrap();
    let words = format!("--image_dir {} --batch_size 3", folder.path().display());
    let (run, records) = image_run(stream(|_| ()), &words);
    let run = run.expect(0);
    assert_eq!(records.len(), 6);
    assert_eq!((run.stdout.matches("Processing: ").count(), run.stdout.matches("输出结果：").count()), (3, 3));
    let drawn: std::collections::HashSet<Vec<u8>> =
        records[3..].iter().flat_map(sent).map(|(bytes, _)| bytes).collect();
    assert_eq!(drawn.len(), 3);
    // The old parser's own marks.
    let report = measure::parse_log::parse(&run.stdout);
    assert_eq!((report.answers.len(), report.blocks.len()), (3, 1));
    assert!(report.answers.iter().all(|answer| answer.image.is_some() && !answer.text.is_empty()));
}

#[test]
fn cold_runs_send_nothing_before_and_no_image_twice() {
    let words = format!("--image_path {} --cold --batch_size 4", picture());
    let (run, records) = image_run(stream(|reply| reply.caches = true), &words);
    let run = run.expect(0);
    assert_eq!(records.len(), 4);
    assert!(run.stdout.contains("输出结果： "), "the answer is a measured one's");
    // 请描述这张图片 makes 5 tokens there, 8 stand around the text, 3 around the image.
    assert_eq!(
        run.line("Total image and input tokens:"),
        (4 * (8 + 5 + 3 + 1131)).to_string(),
        "the token count stays"
    );
    let summary = run.summary();
    assert_eq!(summary.totals.cached_tokens, Some(0));
    assert!(!run.has_caution("warm_cache"));
}

#[test]
fn cached_tokens_are_shown() {
    let run = image_run(stream(|reply| reply.caches = true), &format!("--image_path {} --batch_size 2", picture()))
        .0
        .expect(0);
    assert!(run.summary().totals.cached_tokens > Some(2000));
    assert!(run.has_caution("warm_cache"));
    assert_eq!(run.stderr.matches("warm cache").count(), 1, "{}", run.stderr);
}

#[test]
fn resizing_only_on_demand() {
    let (run, records) = image_run(stream(|_| ()), &format!("--image_path {} --resize 56x28", picture()));
    let run = run.expect(0);
    assert_eq!(run.stdout.lines().next(), Some("image size:  (56, 28)"));
    assert!(run.log().header.images[0].resized_from.is_some());
    assert_ne!(sent(&records[0])[0].0, std::fs::read(picture()).unwrap());
}

#[test]
fn other_ways_of_travel() {
    let url = |words: &str| {
        let (run, records) = image_run(stream(|_| ()), &format!("--image_path {} {words}", picture()));
        run.expect(0);
        body(&records[0])["messages"][0]["content"][1]["image_url"]["url"].as_str().unwrap().to_owned()
    };
    let file = url("--image-as file-url");
    assert!(file.starts_with("file:///") && file.ends_with("road_1080x810.png"), "{file}");
    assert_eq!(
        url("--image-as url --image-url-prefix http://pictures.example/a"),
        "http://pictures.example/a/road_1080x810.png"
    );
}

fn proof(script: Script, verdict: &str, caution: Option<&str>) {
    let words =
        format!("--image_path {} --tokenizer {} --ignore-eos --output_len 4 --image-proof", picture(), tokenizer());
    let run = image_run(script, &words).0.expect(0);
    let footer = serde_json::to_value(run.log().footer.unwrap()).unwrap();
    assert_eq!(footer["image_proof"]["verdict"], verdict, "{}", run.stderr);
    if let Some(kind) = caution {
        assert!(run.has_caution(kind), "{}", run.stderr);
    }
}

#[test]
fn the_image_proof() {
    let billed = |image: ImageBilling, sees: bool| {
        let mut script = stream(|reply| reply.sees_image = sees);
        script.image = image;
        script
    };
    proof(billed(ImageBilling::BySize, true), "seen", None);
    proof(billed(ImageBilling::BySize, false), "billed_without_effect", Some("proof_without_effect"));
    proof(billed(ImageBilling::Ignored, false), "not_seen", Some("proof_not_seen"));
    proof(billed(ImageBilling::Fixed(256), true), "unexpected_size", Some("proof_unexpected_size"));
}

#[test]
fn a_prompt_that_any_picture_answers_alike_is_followed_by_a_question_about_the_whole() {
    let mut script = stream(|reply| reply.sees_image = false);
    script.image = ImageBilling::BySize;
    let words =
        format!("--image_path {} --tokenizer {} --prompt Any? --output_len 4 --image-proof", picture(), tokenizer());
    let (run, records) = image_run(script, &words);
    let run = run.expect(0);
    let proof = run.log().footer.unwrap().image_proof.unwrap();
    assert_eq!(proof.question.as_deref(), Some("Describe the image."));
    let asked = |text: &str| records.iter().filter(|record| body(record).to_string().contains(text)).count();
    // The log says what each question was: the fourth's picture is in no file.
    let log = run.log();
    let asked_with = |record: &&measure::RequestRecord| {
        (log.header.prompts[record.prompt as usize].text.as_str(), record.images.len())
    };
    let questions: Vec<_> = log.records.iter().filter(|record| record.phase == measure::Phase::Proof).collect();
    assert_eq!(
        questions[3..6].iter().map(asked_with).collect::<Vec<_>>(),
        [("Any?", 0), ("Describe the image.", 1), ("Describe the image.", 1)]
    );
    // The request before the load and the load's own, then four questions by the prompt and four by the other.
    assert_eq!((asked("Any?"), asked("Describe the image.")), (6, 4));
}

#[test]
fn an_image_that_is_not_billed_as_expected_is_said() {
    let mut script = stream(|_| ());
    script.image = ImageBilling::Fixed(96_721);
    let words = format!("--image_path {} --tokenizer {}", picture(), tokenizer());
    assert!(image_run(script, &words).0.expect(0).has_caution("image_tokens"));
    let mut script = stream(|_| ());
    script.image = ImageBilling::FirstOnly;
    let words = format!("--image_path {0} --image_path {0} --tokenizer {1}", picture(), tokenizer());
    assert!(image_run(script, &words).0.expect(0).has_caution("fewer_images_billed"));
    let mut script = stream(|_| ());
    script.image = ImageBilling::Ignored;
    let run = text_run(script, "").0.expect(0);
    assert!(!run.has_caution("image_tokens"));
}

#[test]
fn throughput_with_and_without_image_tokens() {
    let run = image_run(stream(|_| ()), &format!("--image_path {} --tokenizer {}", picture(), tokenizer())).0.expect(0);
    let rates = run.summary().throughput;
    let ratio = rates.total_tokens_with_images_per_s.unwrap() / rates.total_tokens_per_s.unwrap();
    let totals = run.summary().totals;
    let want = (totals.input_tokens.unwrap() + 8) as f64 / (totals.text_input_tokens.unwrap() + 8) as f64;
    assert!((ratio - want).abs() < 1e-9 && ratio > 50.0);
}

#[test]
fn a_picture_that_cannot_be_decoded_here_loses_no_run_to_its_proof() {
    let path = data("pictures/formats/png_truncated.png");
    let run = image_run(stream(|_| ()), &format!("--image_path {path} --image-proof")).0.expect(0);
    assert_eq!(run.line("Successful requests:"), "1");
    assert!(run.has_caution("proof_unknown"), "{}", run.stderr);
}
