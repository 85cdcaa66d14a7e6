//! Where each caution begins: the last value without it and the first with it. And what an image proof says.

use crate::by_stamps::{request, run, user};
use measure::{
    Caution, EventKind, ImageProof, Outcome, Phase, ProofVerdict, RequestRecord, RunLog, RunSummary, Unproved,
    image::ImageFacts,
};

const MS: u64 = 1_000_000;

fn token(index: u64) -> RequestRecord {
    request(index, 1, &[(EventKind::Text, 100 * MS), (EventKind::Done, 101 * MS)])
}

fn cautions(log: &RunLog) -> Vec<Caution> {
    RunSummary::of(log, &user()).cautions
}

/// The caution that `pick` is about is raised by `with` and not by `without`.
fn border(name: &str, without: &RunLog, with: &RunLog, pick: fn(&Caution) -> bool) {
    assert_eq!(cautions(without).iter().find(|caution| pick(caution)), None, "{name}");
    assert_eq!(cautions(with).iter().filter(|caution| pick(caution)).count(), 1, "{name}");
}

#[test]
fn few_requests_are_fewer_than_thirty() {
    let of = |n: u64| run((0..n).map(token).collect());
    border("n", &of(30), &of(29), |caution| matches!(caution, Caution::FewRequests { n: 29 }));
}

#[test]
fn events_that_came_together_are_more_than_one_in_twenty() {
    // Gaps of 10 ms but for `together` of 0.
    let of = |gaps: u64, together: u64| {
        let at = |i: u64| (EventKind::Text, (100 + 10 * i.saturating_sub(together)) * MS);
        run(vec![request(0, gaps + 1, &(0..=gaps).map(at).collect::<Vec<_>>())])
    };
    let pick = |caution: &Caution| matches!(caution, Caution::ManyEventsPerRead { .. });
    border("share", &of(20, 1), &of(19, 1), pick);
    border("share", &of(200, 10), &of(200, 11), pick);
}

#[test]
fn tokens_an_event_are_more_than_eleven_for_ten() {
    let of = |billed: u64| {
        let events: Vec<_> = (0..10).map(|i| (EventKind::Text, (100 + i) * MS)).collect();
        run(vec![request(0, billed, &events)])
    };
    border(
        "tokens",
        &of(11),
        &of(12),
        |caution| matches!(caution, Caution::ManyTokensPerEvent { mean } if *mean == 1.2),
    );
}

#[test]
fn image_tokens_may_grow_by_a_template_and_not_shrink() {
    // 3 tokens of text and a picture of 1131: 64 for the template and 4 around the picture are the most.
    let of = |billed: u64| {
        let mut record = token(0);
        record.images = vec![0];
        record.usage.as_mut().unwrap().prompt = Some(billed);
        run(vec![record])
    };
    let about = |caution: &Caution| matches!(caution, Caution::ImageTokens { expected: 1131, .. });
    border("too few", &of(3 + 1131), &of(3 + 1130), about);
    border("too many", &of(3 + 1131 + 68), &of(3 + 1131 + 69), about);
    border("the photo of the procedure", &of(1145), &of(96_721), about);
    // Fewer than the text alone: then nothing is said of the picture.
    border("no picture at all", &of(14), &of(1), |caution| {
        matches!(caution, Caution::UsageBelowText { prompt: 1, text: 3 })
    });
    assert!(!cautions(&of(1)).iter().any(about));
}

#[test]
fn all_pictures_of_a_request_are_expected() {
    let of = |billed: u64| {
        let mut record = token(0);
        record.images = vec![0, 0, 0];
        record.usage.as_mut().unwrap().prompt = Some(billed);
        run(vec![record])
    };
    border("three pictures", &of(3 + 3 * 1133), &of(3 + 1133), |caution| {
        let want = Caution::FewerImagesBilled { images: 3, expected: 3393, billed_beyond_text: 1133 };
        *caution == want
    });
}

#[test]
fn a_send_is_late_after_five_milliseconds() {
    let of = |late_ns: u64| {
        let mut record = token(0);
        record.sent_ns = Some(late_ns);
        run(vec![record])
    };
    border("late", &of(5 * MS), &of(5 * MS + 1), |caution| matches!(caution, Caution::LateSends { .. }));
}

#[test]
fn counts_differ_by_more_than_two_and_a_tenth() {
    let of = |billed: u64, counted: u64| {
        let mut record = request(0, billed, &[(EventKind::Text, MS)]);
        record.retokenised = Some(counted);
        run(vec![record])
    };
    let pick = |caution: &Caution| matches!(caution, Caution::CountsDiffer { .. });
    border("few tokens", &of(4, 2), &of(4, 1), pick);
    border("many tokens", &of(100, 90), &of(100, 89), pick);
    border("more than billed", &of(100, 110), &of(100, 111), pick);
}

#[test]
fn the_wall_clock_may_move_by_a_millisecond() {
    let of = |step_ns: i64| {
        let mut log = run(vec![token(0)]);
        log.footer.as_mut().unwrap().wall_clock_step_ns = Some(step_ns);
        log
    };
    let cautions = |log: &RunLog| RunSummary::of(log, &measure::Summarise::default()).cautions;
    for (step_ns, said) in [(1_000_000, false), (1_000_001, true), (-1_000_000, false), (-1_000_001, true)] {
        let step = Caution::WallClockStep { ns: step_ns };
        assert_eq!(cautions(&of(step_ns)).contains(&step), said, "{step_ns}");
    }
}

#[test]
fn what_a_proof_says() {
    // 1145 with the picture, 11 without: 1134 billed for the 1131 expected.
    let of = |verdict: ProofVerdict, with_image: Option<u64>| {
        let mut log = run(vec![token(0)]);
        log.footer.as_mut().unwrap().image_proof = Some(ImageProof {
            verdict,
            with_image,
            without_image: Some(11),
            expected: Some(1131),
            images: 1,
            effect: None,
            words_changed: None,
            logprob_change: (with_image == Some(1145)).then_some(0.0),
            question: None,
        });
        let about_proof = |caution: &Caution| serde_json::to_string(caution).unwrap().contains("\"proof_");
        cautions(&log).into_iter().filter(about_proof).collect::<Vec<_>>()
    };
    assert_eq!(of(ProofVerdict::Seen, Some(1145)), []);
    assert_eq!(of(ProofVerdict::NotSeen, Some(11)), [Caution::ProofNotSeen]);
    assert_eq!(of(ProofVerdict::BilledWithoutEffect, Some(1145)), [Caution::ProofWithoutEffect { logprobs: true }]);
    let smaller = Caution::ProofUnexpectedSize { billed: 258, expected: 1131 };
    assert_eq!(of(ProofVerdict::UnexpectedSize, Some(269)), [smaller]);
}

#[test]
fn why_a_proof_came_to_no_verdict() {
    let of = |answered: &[bool], with_image: Option<u64>| {
        let mut log = run(vec![token(0)]);
        for (number, answered) in answered.iter().enumerate() {
            let mut question = token(number as u64 + 1);
            question.phase = Phase::Proof;
            if !answered {
                question.outcome = Outcome::Cancelled;
            }
            log.records.push(question);
        }
        let verdict = ProofVerdict::Unknown;
        log.footer.as_mut().unwrap().image_proof = Some(ImageProof {
            verdict,
            with_image,
            without_image: Some(11),
            expected: None,
            images: 1,
            effect: None,
            words_changed: None,
            logprob_change: None,
            question: None,
        });
        let why = |caution: Caution| if let Caution::ProofUnknown { why } = caution { Some(why) } else { None };
        cautions(&log).into_iter().find_map(why)
    };
    assert_eq!(of(&[], None), Some(Unproved::NotDecoded));
    assert_eq!(of(&[true, true, false, true], Some(1145)), Some(Unproved::Unanswered));
    assert_eq!(of(&[true; 4], None), Some(Unproved::NoUsage));
    // Refused with log probabilities, answered without.
    assert_eq!(of(&[false, false, false, false, true, true, true, true], None), Some(Unproved::NoUsage));
    assert_eq!(of(&[true; 4], Some(1145)), Some(Unproved::Unsteady));
}

#[test]
fn a_picture_that_a_server_may_turn() {
    let of = |exif_orientation: Option<u8>| {
        let mut log = run(vec![token(0)]);
        log.header.images = vec![ImageFacts {
            name: "a.jpg".into(),
            sha256: "00".repeat(32),
            width: 1080,
            height: 810,
            mode: "RGB".into(),
            mime: "image/jpeg".into(),
            exif_orientation,
            bytes: 9,
            animated: None,
            resized_from: None,
            altered: None,
            synthetic: None,
        }];
        let turned = |caution: Caution| match caution {
            Caution::ImageTurned { stored: (1080, 810), seen, .. } => Some(seen),
            _ => None,
        };
        cautions(&log).into_iter().find_map(turned)
    };
    assert_eq!([None, Some(1), Some(3), Some(6)].map(of), [None, None, Some((1080, 810)), Some((810, 1080))]);
}
