//! Which caution is raised by what, and that each says its thing.

use crate::build::{MS, by_own_reads, footer, has, header_with, kinds, later, log, request, summary};
use measure::{
    Caution, Degenerate, Footer, Lang, Outcome, Phase, RequestRecord, RunLog, RunSummary, Summarise, TextTokens,
    Unproved, WarmCache,
};
use serde_json::json;

fn token(index: u64) -> RequestRecord {
    later(request(index, "r90 t100 t120 u121 d121", 1145, 2), 200 * index)
}

/// Forty requests with different prompts: nothing to be cautious of.
fn quiet() -> Vec<RequestRecord> {
    (0..40).map(|i| RequestRecord { prompt: i as u32, ..token(i) }).collect()
}

fn quiet_footer() -> Footer {
    Footer { text_tokens: TextTokens { counts: vec![Some(3); 40], source: Some("local-folder".into()) }, ..footer(3) }
}

/// The cautions of a quiet run after a change to it.
fn after(change: impl FnOnce(&mut RunLog)) -> Vec<String> {
    let mut log = RunLog { footer: Some(quiet_footer()), ..log(quiet()) };
    change(&mut log);
    kinds(&RunSummary::of(&log, &Summarise::default()))
}

#[test]
fn each_by_its_cause_and_none_beside_it() {
    let first = |log: &mut RunLog, change: fn(&mut RequestRecord)| change(&mut log.records[0]);
    assert_eq!(after(|_| ()), [""; 0]);
    assert_eq!(after(|log| log.records.truncate(29)), ["few_requests"]);
    assert_eq!(after(|log| log.records[0].degenerate = Some(Degenerate::Repeats("!!!!".into()))), ["degenerate"]);
    assert_eq!(after(|log| first(log, |r| r.usage.as_mut().unwrap().prompt = Some(1))), ["usage_below_text"]);
    assert_eq!(after(|log| log.records[39].usage.as_mut().unwrap().prompt = Some(1)), ["usage_below_text"]);
    assert_eq!(after(|log| first(log, |r| r.retokenised = Some(20))), ["counts_differ"]);
    assert_eq!(after(|log| first(log, |r| r.retokenised = Some(3))), [""; 0]);
    assert_eq!(after(|log| first(log, |r| r.usage = None)), ["no_usage"]);
    assert_eq!(after(|log| log.footer.as_mut().unwrap().text_tokens.counts[7] = None), ["text_tokens_unknown"]);
    assert_eq!(after(|log| log.footer.as_mut().unwrap().proxy = Some("http://p".into())), ["proxy"]);
    assert_eq!(after(|log| log.footer.as_mut().unwrap().wall_clock_step_ns = Some(-2_000_000)), ["wall_clock_step"]);
    assert_eq!(after(|log| log.footer.as_mut().unwrap().wall_clock_step_ns = Some(900_000)), [""; 0]);
    assert_eq!(after(|log| log.footer.as_mut().unwrap().interrupted = Some("SIGINT".into())), ["incomplete"]);
    assert_eq!(after(|log| log.footer = None), ["incomplete", "text_tokens_not_counted"]);
    // Nobody has looked for a tokenizer yet: that there is none is not said.
    let killed_without_usage = after(|log| {
        log.footer = None;
        log.records[0].usage = None;
    });
    assert_eq!(killed_without_usage, ["incomplete", "text_tokens_not_counted"]);
    assert_eq!(after(|log| log.records.iter_mut().for_each(RequestRecord::leave_out_events)), ["events_left_out"]);
    assert_eq!(
        after(|log| log.records.iter_mut().for_each(|r| r.sent_ns = r.sent_ns.map(|ns| ns + 6 * MS))),
        ["late_sends"]
    );
}

#[test]
fn requests_that_failed_and_requests_that_were_held_back() {
    let ended = |outcome: Outcome| after(move |log| log.records[5].outcome = outcome);
    assert_eq!(ended(Outcome::Truncated { reason: "no end marker".into() }), ["survivors"]);
    // Dropping over the cap was asked for; a request stopped by the user did not fail.
    assert_eq!(ended(Outcome::NotSent { reason: "the cap was reached".into() }), ["not_sent"]);
    assert_eq!(ended(Outcome::Cancelled), [""; 0]);
    let mut log = log((0..3).map(token).collect());
    log.records[1].outcome = Outcome::NotSent { reason: "stopped".into() };
    log.records[2].outcome = Outcome::Cancelled;
    log.footer.as_mut().unwrap().interrupted = Some("SIGINT".into());
    let summary = RunSummary::of(&log, &by_own_reads());
    assert!(summary.cautions.contains(&Caution::Incomplete { by: Some("SIGINT".into()), planned: 3, ended: 1 }));
    assert_eq!((summary.counts.planned, summary.counts.by_outcome["not_sent"]), (3, 1));
    assert!(!has(&summary, "survivors"));
}

/// What a quiet run's caution on caches says after a change to it.
fn warm(change: impl FnOnce(&mut RunLog)) -> Option<WarmCache> {
    let mut log = RunLog { footer: Some(quiet_footer()), ..log(quiet()) };
    change(&mut log);
    let cautions = RunSummary::of(&log, &Summarise::default()).cautions;
    let caches: Vec<WarmCache> = cautions
        .into_iter()
        .filter_map(|caution| match caution {
            Caution::WarmCache(cache) => Some(cache),
            _ => None,
        })
        .collect();
    assert!(caches.len() < 2, "{caches:?}");
    caches.into_iter().next()
}

fn cached(record: &mut RequestRecord, tokens: u64) {
    record.usage.as_mut().unwrap().cached = Some(tokens);
}

#[test]
fn one_caution_on_caches_that_fits_the_run() {
    let before = |phase: Phase| move |log: &mut RunLog| log.records.push(RequestRecord { phase, ..token(40) });
    let repeated = |cache: Option<WarmCache>| cache.map(|cache| (cache.repeated, cache.requests));
    assert_eq!(repeated(warm(|_| ())), None);
    // The request before the load has the first one's prompt; a proof comes after it.
    for phase in [Phase::Accuracy, Phase::Preliminary, Phase::Warmup] {
        assert_eq!(repeated(warm(before(phase))), Some((1, 40)), "{phase:?}");
    }
    assert_eq!(repeated(warm(before(Phase::Proof))), None);
    // All alike: the first is sent once. One that was never sent repeats nothing.
    let alike = |log: &mut RunLog| log.records.iter_mut().for_each(|record| record.prompt = 0);
    assert_eq!(repeated(warm(alike)), Some((39, 40)));
    let unsent = |log: &mut RunLog| {
        alike(log);
        log.records[1..].iter_mut().for_each(|record| record.sent_ns = None);
    };
    assert_eq!(repeated(warm(unsent)), None);
    // Other pictures make other requests.
    let pictures = |log: &mut RunLog| {
        alike(log);
        log.records.iter_mut().zip(0..).for_each(|(record, image)| record.images = vec![image]);
    };
    assert_eq!(repeated(warm(pictures)), None);
    assert_eq!(repeated(warm(|log| log.records[39].images = vec![0])), None);
}

#[test]
fn what_the_server_tells_of_its_cache() {
    let alike = |log: &mut RunLog| log.records.iter_mut().for_each(|record| record.prompt = 0);
    let told = |cache: Option<WarmCache>| cache.map(|cache| (cache.repeated, cache.cached_tokens, cache.prompt_tokens));
    assert_eq!(told(warm(alike)), Some((39, None, None)));
    // Requests that only begin alike are answered from the cache too.
    assert_eq!(told(warm(|log| cached(&mut log.records[0], 16))), Some((0, Some(16), Some(1145))));
    assert_eq!(told(warm(|log| cached(&mut log.records[0], 0))), None);
    let all = |tokens: u64| {
        move |log: &mut RunLog| {
            alike(log);
            log.records.iter_mut().for_each(|record| cached(record, tokens));
        }
    };
    assert_eq!(told(warm(all(8))), Some((39, Some(320), Some(45_800))));
    // It says of each that nothing was cached: text has no other cache; pictures have.
    assert_eq!(told(warm(all(0))), None);
    let pictures = |log: &mut RunLog| {
        all(0)(log);
        log.records.iter_mut().for_each(|record| record.images = vec![0]);
    };
    assert_eq!(told(warm(pictures)), Some((39, Some(0), Some(45_800))));
}

#[test]
fn nothing_on_caches_where_nothing_was_measured_or_all_was_cold() {
    let alike = |log: &mut RunLog| log.records.iter_mut().for_each(|record| record.prompt = 0);
    let none_complete = |log: &mut RunLog| {
        alike(log);
        log.records.iter_mut().for_each(|record| record.outcome = Outcome::Cancelled);
    };
    assert_eq!(warm(none_complete), None);
    // The template's beginning is cached even in a cold run.
    let cold = |log: &mut RunLog| {
        log.header.plan = json!({"cold": true});
        log.records.iter_mut().for_each(|record| cached(record, 16));
    };
    assert_eq!(warm(cold), None);
    // A file with fewer prompts than requests is not cold, whatever was asked for.
    let short_file = |log: &mut RunLog| {
        cold(log);
        log.records[39].prompt = 0;
    };
    assert_eq!(warm(short_file).map(|cache| cache.repeated), Some(1));
}

#[test]
fn the_words_on_caches_fit_the_run() {
    let say = |images: bool, by_duration: bool, lang: Lang| {
        let change = |log: &mut RunLog| {
            let requests = if by_duration { json!(null) } else { json!(40) };
            log.header.plan =
                json!({"requests": requests, "duration_s": if by_duration { json!(5.0) } else { json!(null) }});
            let image = if images { vec![0] } else { vec![] };
            log.records.iter_mut().for_each(|record| (record.prompt, record.images) = (0, image.clone()));
        };
        Caution::WarmCache(warm(change).unwrap()).text(lang)
    };
    for lang in [Lang::En, Lang::Zh] {
        for images in [true, false] {
            let (counted, endless) = (say(images, false, lang), say(images, true, lang));
            let image_words = lang.pick("image", "图");
            assert_eq!((counted.contains(image_words), endless.contains(image_words)), (images, images), "{counted}");
            assert!(!counted.contains("--num-prompts") && endless.contains("--cold"), "{counted}");
            assert!(endless.contains("--num-prompts") && counted.contains("--cold"), "{endless}");
            assert_eq!(counted.contains("--synthetic-prompt-tokens"), !images, "{counted}");
        }
    }
}

#[test]
fn ignore_eos_and_another_length() {
    let check = |billed: Option<u64>, counted: Option<u64>, want: bool| {
        let mut record = token(0);
        record.max_tokens = 512;
        record.usage.as_mut().unwrap().completion = billed;
        record.retokenised = counted;
        let header = header_with(&json!({"ignore_eos": true}));
        let log = RunLog { header, ..log(vec![record]) };
        assert_eq!(has(&RunSummary::of(&log, &by_own_reads()), "output_length"), want, "{billed:?} {counted:?}");
    };
    check(Some(512), None, false);
    check(Some(97), None, true);
    check(Some(511), None, true);
    // Counted from the text: tokens that leave no text are missing, and the end of the text may be cut otherwise.
    check(None, Some(509), false);
    check(None, Some(97), true);
    check(None, None, false);
}

#[test]
fn billed_image_tokens_against_the_expected() {
    // Text 3, picture 1131; the template of the recordings adds 11, three tokens stand around the picture.
    let check = |images: &[u32], billed: u64, want: Option<&str>| {
        let header = header_with(&json!({"expected_image_tokens": [1131, 1131, null]}));
        let mut record = token(0);
        record.images = images.to_vec();
        record.usage.as_mut().unwrap().prompt = Some(billed);
        let log = RunLog { header, ..log(vec![record]) };
        let kinds = kinds(&RunSummary::of(&log, &by_own_reads()));
        let got = kinds.iter().find(|kind| kind.contains("image"));
        assert_eq!(got.map(String::as_str), want, "{images:?} {billed}");
    };
    check(&[0], 1145, None);
    check(&[0], 1155, None);
    check(&[0], 11, Some("image_tokens"));
    check(&[0], 96_721, Some("image_tokens"));
    check(&[0, 1], 2279, None);
    check(&[0, 1], 1145, Some("fewer_images_billed"));
    check(&[0, 1], 96_721, Some("image_tokens"));
    check(&[2], 11, None);
    check(&[0, 2], 11, None);
    check(&[9], 11, None);
    check(&[], 11, None);
}

#[test]
fn events_that_come_together() {
    // Ten token events in one read: nine of nine gaps are 0.
    let mut record = request(0, "r90 t100 t100 t100 t100 t100 t100 t100 t100 t100 t100 d121", 11, 10);
    let together = |record: &RequestRecord| has(&summary(vec![record.clone()]), "many_events_per_read");
    assert!(together(&record));
    for (i, event) in record.events.iter_mut().enumerate() {
        event.user_ns += i as u64;
    }
    assert!(!together(&record));
}

fn warm_cache(repeated: u64, images: bool, by_duration: bool, cached_tokens: Option<u64>) -> Caution {
    let prompt_tokens = cached_tokens.map(|_| 2290);
    Caution::WarmCache(WarmCache { requests: 2, repeated, images, by_duration, cached_tokens, prompt_tokens })
}

/// One of each.
fn every_caution() -> Vec<Caution> {
    let name = || "a.jpg".to_owned();
    vec![
        Caution::Incomplete { by: Some("SIGINT".into()), planned: 9, ended: 4 },
        Caution::Incomplete { by: None, planned: 9, ended: 4 },
        Caution::Survivors { complete: 1, failed: 2 },
        Caution::AnswersCutOff { answers: 1, of: 1 },
        Caution::FewRequests { n: 1 },
        warm_cache(2, true, false, None),
        warm_cache(2, true, true, Some(1145)),
        warm_cache(2, false, false, Some(8)),
        warm_cache(2, false, true, None),
        warm_cache(0, true, false, Some(1)),
        Caution::OutputLength { asked: 512, different: 1, of: 2 },
        Caution::NoUsage { requests: 1, retokenised: true },
        Caution::NoUsage { requests: 1, retokenised: false },
        Caution::TextTokensUnknown,
        Caution::TextTokensNotCounted,
        Caution::EmptyEventsLeftOut { events: 1 },
        Caution::ManyEventsPerRead { share: 0.5 },
        Caution::ManyTokensPerEvent { mean: 4.0 },
        Caution::Degenerate { requests: 1, head: "!\n!".into() },
        Caution::UsageBelowText { prompt: 1, text: 3 },
        Caution::ImageTokens { billed_beyond_text: 8, expected: 1131 },
        Caution::ImageTurned { name: name(), stored: (40, 30), seen: (30, 40) },
        Caution::ImageTruncated { name: name() },
        Caution::CountsDiffer { server: 97, client: 50 },
        Caution::FewerImagesBilled { images: 2, expected: 2262, billed_beyond_text: 1142 },
        Caution::Proxy { proxy: "http://p:1".into() },
        Caution::WallClockStep { ns: -5 },
        Caution::KernelClockMissing { requests: 1, of: 2 },
        Caution::LateSends { p99_ms: 6.0 },
        Caution::NotSent { requests: 1 },
        Caution::Reopened { connections: 1 },
        Caution::ProofNotSeen,
        Caution::ProofUnexpectedSize { billed: 8, expected: 9 },
        Caution::ProofWithoutEffect { logprobs: true },
        Caution::ProofWithoutEffect { logprobs: false },
        Caution::ProofUnknown { why: Unproved::NotDecoded },
        Caution::ProofUnknown { why: Unproved::Unanswered },
        Caution::ProofUnknown { why: Unproved::NoUsage },
        Caution::ProofUnknown { why: Unproved::Unsteady },
        Caution::OlderDefinitions,
        Caution::EventsLeftOut,
    ]
}

#[test]
fn every_caution_is_one_line_in_each_language() {
    let mut seen = std::collections::HashSet::new();
    for caution in every_caution() {
        let (english, chinese) = (caution.text(Lang::En), caution.text(Lang::Zh));
        assert!(english.is_ascii() || caution_names_sizes(&caution), "{english}");
        assert!(chinese.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{chinese}");
        for text in [english, chinese] {
            assert!(text.len() < 320 && !text.contains('\n') && text.trim() == text, "{text}");
            assert!(seen.insert(text.clone()), "said twice: {text}");
        }
        let json = serde_json::to_value(&caution).unwrap();
        assert_eq!(serde_json::from_value::<Caution>(json).unwrap(), caution);
    }
}

/// Sizes are written with a multiplication sign.
fn caution_names_sizes(caution: &Caution) -> bool {
    matches!(caution, Caution::ImageTurned { .. })
}

/// Every caution of the schema, so that a new one cannot be forgotten here.
pub(crate) fn examples() -> Vec<Caution> {
    every_caution()
}

#[test]
fn answers_that_were_cut_off_at_their_length() {
    let answer = |index: u64, phase: Phase, reason: &str| {
        let mut record = request(index, "t100 t101 d102", 10, 2);
        (record.phase, record.finish_reason) = (phase, Some(reason.into()));
        record
    };
    let of = |records: Vec<RequestRecord>| {
        let cautions = summary(records).cautions;
        cautions.into_iter().find(|caution| matches!(caution, Caution::AnswersCutOff { .. }))
    };
    let cut = of(vec![answer(0, Phase::Accuracy, "length"), answer(1, Phase::Accuracy, "stop")]);
    assert_eq!(cut, Some(Caution::AnswersCutOff { answers: 1, of: 2 }));
    // With --ignore-eos no answer is looked at, and all of the load have the length asked for.
    assert_eq!(of(vec![answer(0, Phase::Preliminary, "length"), answer(1, Phase::Measured, "length")]), None);
}
