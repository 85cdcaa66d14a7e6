//! Bodies and turns.

use super::*;
use serde_json::Value;

fn plan(words: &str) -> Plan {
    let argv = std::iter::once("vlm-benchmark").chain(words.split_whitespace()).map(std::ffi::OsString::from);
    let mut args = crate::cli::parse(argv, Lang::En).unwrap().run;
    args.api_key = None;
    Plan::new(&args).unwrap().0
}

fn draft(plan: &Plan, nonce: u64) -> Result<Workload, WorkloadError> {
    Draft::new(plan, None, nonce).map(|draft| draft.for_model("m"))
}

fn json(parts: &BodyParts) -> Value {
    serde_json::from_slice(&parts.joined()).unwrap()
}

#[test]
fn the_request_of_the_script() {
    let plan = plan("--image_path x --prompt 请描述图片 --ignore-eos --output_len 512");
    let url = Bytes::from_static(b"data:image/png;base64,AAAA");
    let body = body(&plan, "m", "请描述图片", 512, &[url]);
    assert_eq!(
        String::from_utf8(body.joined()).unwrap(),
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"请描述图片"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}],"temperature":0.0,"max_tokens":512,"stream":true,"stream_options":{"include_usage":true},"ignore_eos":true}"#
    );
    assert_eq!(body.len(), body.joined().len() as u64);
}

#[test]
fn extras_only_when_a_flag_asks() {
    let text = |words: &str| String::from_utf8(body(&plan(words), "m", "p", 1, &[]).joined()).unwrap();
    assert!(!text("--no-image").contains("ignore_eos"));
    assert!(text("--no-image --max-tokens-field max_completion_tokens").contains("\"max_completion_tokens\":1"));
    assert!(!text("--no-image --max-tokens-field max_completion_tokens").contains("\"max_tokens\""));
    assert!(text("--no-image --continuous-usage").contains("\"continuous_usage_stats\":true"));
    let extra = json(&body(&plan("--no-image --extra-body {\"top_k\":1,\"temperature\":0.5}"), "m", "p", 1, &[]));
    assert_eq!((&extra["top_k"], &extra["temperature"]), (&1.into(), &0.5.into()));
    let other = text("--no-image --extra-body {\"temperature\":\"low\",\"max_tokens\":null}");
    assert!(other.contains("\"temperature\":\"low\""), "{other}");
    assert_eq!(other.matches("temperature").count() + other.matches("max_tokens").count(), 1, "{other}");
}

#[test]
fn a_prompt_that_holds_the_stand_in_does_no_harm() {
    for order in ["", "--image-first"] {
        let plan = plan(&format!("--image_path x {order}"));
        let prompt = "@@image @@image@ \"quoted\"";
        let url = Bytes::from_static(b"data:x");
        let value = json(&body(&plan, "m", prompt, 1, &[url.clone(), url]));
        let content = value["messages"][0]["content"].as_array().unwrap().clone();
        let texts: Vec<&Value> = content.iter().filter(|part| part["type"] == "text").collect();
        assert_eq!((content.len(), &texts[0]["text"]), (3, &prompt.into()));
        assert_eq!(content[if order.is_empty() { 0 } else { 2 }]["type"], "text");
        assert_eq!(content.iter().filter(|part| part["image_url"]["url"] == "data:x").count(), 2);
    }
}

#[test]
fn images_are_shared_not_copied() {
    let plan = plan("--image_path x --num-prompts 1000");
    let url = Bytes::from(vec![b'A'; 1000]);
    let bodies: Vec<BodyParts> = (0..3).map(|_| body(&plan, "m", "p", 1, std::slice::from_ref(&url))).collect();
    assert_eq!(bodies.iter().map(BodyParts::len).max(), bodies.iter().map(BodyParts::len).min());
    // A shared buffer is never unique while a body holds it.
    assert!(!url.is_unique());
}

#[test]
fn cold_requests_hold_different_images_and_the_warm_up_its_own() {
    let plan = plan("--synthetic-image noise:28x28 --cold --num-prompts 3 --num_rounds 2 --warmup 1");
    let workload = draft(&plan, 7).unwrap();
    assert_eq!((workload.measured.len(), workload.warmup.len()), (6, 3));
    let digests: std::collections::HashSet<&str> = workload.images.iter().map(|image| image.sha256.as_str()).collect();
    assert_eq!(digests.len(), 9);
    let sizes: std::collections::HashSet<(u32, u32)> = workload.images.iter().map(|i| (i.width, i.height)).collect();
    assert_eq!(sizes.len(), 1);
}

#[test]
fn turns_of_prompts_and_images() {
    let plan =
        plan("--synthetic-image noise:28x28 --synthetic-image noise:56x28 --num-prompts 5 --images-per-request 3");
    let workload = draft(&plan, 0).unwrap();
    let turns: Vec<&[u32]> = workload.measured.iter().map(|item| item.images.as_slice()).collect();
    assert_eq!(turns, [&[0, 1, 0][..], &[1, 0, 1][..]]);
    assert_eq!(workload.images.len(), 2);
}

#[test]
fn each_recipe_of_a_list_makes_a_picture_of_its_own() {
    for kind in ["noise", "photo", "scenes"] {
        let words = format!("--synthetic-image {kind}:64x64 --synthetic-image {kind}:64x64 --num-prompts 2");
        let workload = draft(&plan(&words), 0).unwrap();
        let recipe: crate::image::Synthetic = format!("{kind}:64x64").parse().unwrap();
        for (number, facts) in workload.images.iter().enumerate() {
            assert_eq!(*facts, recipe.render(number as u64).unwrap().facts);
        }
        assert_eq!(workload.images.len(), 2);
    }
}

#[test]
fn graded_requests_are_bounded_as_measured_ones_are() {
    let folder = tempfile::TempDir::new().unwrap();
    let png = "noise:2x2".parse::<crate::image::Synthetic>().unwrap().render(0).unwrap().bytes;
    for number in 0..1001 {
        std::fs::write(folder.path().join(format!("{number}.png")), &png).unwrap();
    }
    let expect = folder.path().join("e.jsonl");
    let plan = plan(&format!("--image_dir {} --expect {}", folder.path().display(), expect.display()));
    let check = |lines: usize| {
        std::fs::write(&expect, "{\"answer\":\"a\"}\n".repeat(lines) + "{\"image\":\"7.png\",\"answer\":\"a\"}\n")
            .unwrap();
        Draft::new(&plan, None, 0).map(|_| ()).map_err(|error| [error.text(Lang::En), error.text(Lang::Zh)])
    };
    assert!(check(3).is_ok());
    for text in check(1000).unwrap_err() {
        assert!(text.contains("1001001") && text.contains("1000000") && text.contains("\"image\""), "{text}");
    }
}

#[test]
fn ten_thousand_prompts_are_no_limit() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("p.txt");
    std::fs::write(&path, (0..10_050).map(|i| format!("p{i}\n")).collect::<String>()).unwrap();
    let plan = plan(&format!("--no-image --num-prompts 10050 --prompts {}", path.display()));
    assert_eq!(draft(&plan, 0).unwrap().measured.len(), 10_050);
    let plan = super::tests::plan("--synthetic-image noise:28x28 --cold --num-prompts 2000000");
    assert!(matches!(draft(&plan, 0), Err(WorkloadError::TooMany { requests: 2_000_000 })));
}

#[test]
fn images_beyond_this_machines_memory_are_refused_before_they_are_made() {
    let plan = plan("--synthetic-image noise:4000x4000 --cold --num-prompts 900000");
    let error = draft(&plan, 0).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("MB of memory"), "{error}");
}

#[test]
fn every_bad_file_of_a_folder_is_named() {
    let folder = tempfile::TempDir::new().unwrap();
    for name in ["a.png", "b.jpg"] {
        std::fs::write(folder.path().join(name), "no picture").unwrap();
    }
    let error = draft(&plan(&format!("--image_dir {}", folder.path().display())), 0).err().unwrap();
    for lang in [Lang::En, Lang::Zh] {
        let text = error.text(lang);
        assert!(text.contains("a.png") && text.contains("b.jpg"), "{text}");
    }
}

#[test]
fn the_proofs_pictures_are_the_first_requests() {
    let proof = |words: &str| draft(&plan(words), 3).unwrap();
    let workload =
        proof("--synthetic-image noise:28x28 --synthetic-image noise:56x28 --image-proof --images-per-request 2");
    let sizes: Vec<(u32, u32)> =
        workload.proof.iter().map(|picture| (picture.facts.width, picture.facts.height)).collect();
    assert_eq!(sizes, [(28, 28), (56, 28)]);
    let first = &workload.proof[0];
    assert_eq!(Picture::from_bytes("x", first.bytes.clone()).unwrap().facts.sha256, first.facts.sha256);
    assert!(proof("--synthetic-image noise:28x28").proof.is_empty());
}

#[test]
fn least_common_multiples() {
    for (a, b, want) in [(1, 1, 1), (4, 6, 12), (5, 1, 5), (3, 7, 21)] {
        assert_eq!(lcm(a, b), want);
    }
}
