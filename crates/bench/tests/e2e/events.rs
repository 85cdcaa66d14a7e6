//! What counts as a token, and when it came: the known wrongs of other tools, each with the right value.

use crate::rig::{Client, serve, stream, text_run};
use serve::{FinishPlace, LineEnd, Script, StreamReply, UsagePlace};

/// Within a few milliseconds: the machine may be busy; the wrong values lie hundreds away.
fn close(got: f64, want: f64, within: f64) {
    assert!((got - want).abs() < within, "{got} is not {want} ± {within}");
}

#[test]
fn a_role_event_is_no_token() {
    // Role at 300 ms, the first token at 700: TTFT is 700.
    let script = stream(|reply| {
        reply.role_ms = Some(300.0);
        reply.prefill_ms = 700.0;
    });
    let run = text_run(script, "").0.expect(0);
    close(run.mean("ttft_ms"), 700.0, 100.0);
    close(run.mean("first_event_ms"), 300.0, 100.0);
    close(run.mean("itl_ms"), 5.0, 4.0);
}

#[test]
fn the_older_definitions_count_it() {
    let script = stream(|reply| {
        reply.role_ms = Some(100.0);
        reply.prefill_ms = 500.0;
        reply.finish = FinishPlace::OwnEvent;
    });
    let run = text_run(script, "--definitions vllm").0.expect(0);
    close(run.mean("ttft_ms"), 100.0, 80.0);
    // 8 tokens: gaps role→1, 7 between, last→finish: (400 + 35 + 0) / 9.
    close(run.mean("itl_ms"), 435.0 / 9.0, 15.0);
    assert!(run.has_caution("older_definitions"));
}

#[test]
fn null_content_is_no_token_and_an_empty_string_is_one() {
    let script = stream(|reply| {
        reply.null_first = true;
        reply.empty_every = Some(4);
    });
    let (run, _) = text_run(script, "");
    let record = &run.expect(0).measured()[0];
    let kinds: String = record.events.iter().map(|event| event.kind.letter()).collect();
    assert_eq!(kinds, "rn".to_owned() + &"ttte".repeat(2) + "ud");
}

#[test]
fn empty_events_beyond_the_bill_do_not_count() {
    let (run, _) = text_run(stream(|reply| reply.extra_empty = 3), "");
    let run = run.expect(0);
    assert!(run.has_caution("empty_events_left_out"));
    assert_eq!(run.line("Total generated tokens:"), "8");
}

#[test]
fn several_tokens_in_an_event() {
    // 4 tokens an event: a token's gap is a quarter of the event's, TPOT (7 gaps) / 31, however late the server was.
    let script = stream(|reply| {
        reply.tokens_per_event = 4;
        reply.interval_ms = 40.0;
        reply.tokens = 32;
    });
    let run = text_run(script, "--continuous-usage").0.expect(0);
    let gap_ms = run.mean("itl_ms");
    close(run.mean("itl_token_ms"), gap_ms / 4.0, 1e-6);
    close(run.mean("tpot_ms"), 7.0 * gap_ms / 31.0, 1e-6);
    assert!(run.has_caution("many_tokens_per_event"));
    let rates = run.summary().throughput;
    assert!(rates.peak_output_tokens_per_s >= rates.output_tokens_per_s);
}

#[test]
fn ten_events_in_one_write() {
    let script = stream(|reply| {
        reply.events_per_write = 10;
        reply.tokens = 40;
        reply.interval_ms = 30.0;
    });
    let run = text_run(script, "").0.expect(0);
    assert_eq!(run.measured()[0].events.iter().filter(|event| event.kind.letter() == 't').count(), 40);
    close(run.mean("tpot_ms"), 90.0 / 39.0, 1.0);
    assert!(run.has_caution("many_events_per_read"));
}

#[test]
fn reasoning_counts_and_the_answer_is_told_apart() {
    for field in ["reasoning", "reasoning_content"] {
        let script = stream(|reply| {
            reply.reasoning = 4;
            reply.reasoning_field = field.into();
            reply.interval_ms = 50.0;
        });
        let run = text_run(script, "").0.expect(0);
        close(run.mean("ttft_ms"), 20.0, 30.0);
        close(run.mean("first_answer_ms"), 220.0, 40.0);
    }
    let all = text_run(stream(|reply| reply.reasoning = 8), "").0.expect(0);
    assert!(all.summary().metric("first_answer_ms").is_none());
    assert!(all.summary().metric("ttft_ms").is_some());
}

#[test]
fn usage_wherever_it_stands() {
    for place in [UsagePlace::AsAsked, UsagePlace::LastContent, UsagePlace::EveryEvent] {
        let run = text_run(stream(|reply| reply.usage = place), "").0.expect(0);
        assert_eq!(run.line("Total generated tokens:"), "8", "{place:?}");
    }
    // Nowhere: the requested length is not taken for the answer's. The scripted server counts three tokens for five
    // characters that are no ASCII: the 14 of the answer make 9.
    let run = text_run(stream(|reply| reply.usage = UsagePlace::Nowhere), "--output_len 500").0.expect(0);
    assert_eq!(run.line("Total generated tokens:"), "9");
    assert!(run.has_caution("no_usage"));
    let mut script = stream(|reply| reply.usage = UsagePlace::Nowhere);
    script.tokenize = false;
    let run = text_run(script, "--output_len 500").0.expect(0);
    assert_eq!(run.line("Total generated tokens:"), "n/a");
    assert!(run.summary().metric("tpot_ms").is_none());
}

#[test]
fn an_answer_that_ends_early_with_ignore_eos_is_said() {
    let run = text_run(stream(|reply| reply.own_length = true), "--ignore-eos --output_len 20").0.expect(0);
    assert!(run.has_caution("output_length"));
    assert_eq!(run.line("Total generated tokens:"), "8");
}

#[test]
fn ignore_eos_is_on_every_request() {
    let (run, records) = text_run(stream(|_| ()), "--ignore-eos --warmup 1 --batch_size 2 --num_rounds 2");
    run.expect(0);
    assert_eq!(records.len(), 1 + 2 + 4);
    assert!(records.iter().all(|record| crate::rig::body(record)["ignore_eos"] == true));
}

/// The same answer in any framing: 8 token events, the same text.
fn check_framing(change: impl FnOnce(&mut StreamReply)) {
    let run = text_run(stream(change), "--detail text").0.expect(0);
    let record = &run.measured()[0];
    assert_eq!(record.text.as_deref(), Some("这是一台脚本服务，没有模型。"));
    assert_eq!(record.events.iter().filter(|event| event.kind.letter() == 't').count(), 8);
}

#[test]
fn every_framing_of_events() {
    for line_end in [LineEnd::Lf, LineEnd::CrLf, LineEnd::Cr] {
        for space in [true, false] {
            check_framing(|reply| {
                reply.line_end = line_end;
                reply.space = space;
                reply.comments = true;
            });
            check_framing(|reply| {
                reply.line_end = line_end;
                reply.space = space;
                reply.write_bytes = Some(1);
            });
        }
    }
    check_framing(|reply| reply.role = false);
    check_framing(|reply| reply.role_everywhere = true);
    check_framing(|reply| reply.finish = FinishPlace::OwnEvent);
}

#[test]
fn line_separators_in_the_text_are_text() {
    let odd = "a\u{2028}b\u{2029}c\u{85}d";
    let run = text_run(stream(|reply| reply.text = vec![odd.into()]), "--detail text").0.expect(0);
    assert_eq!(run.measured()[0].text.as_deref(), Some(odd.repeat(8).as_str()));
}

#[test]
fn degenerate_output_is_named() {
    let run = text_run(
        stream(|reply| {
            reply.text = vec!["!".into()];
            reply.tokens = 40;
        }),
        "",
    )
    .0
    .expect(0);
    assert!(run.has_caution("degenerate"));
    let script = stream(|reply| reply.bad_logprobs = true);
    let server = serve(script);
    let run =
        Client::new("--no-image --model scripted --extra-body").arg("{\"logprobs\":true}").at(&server).run().expect(0);
    assert!(run.has_caution("degenerate"));
}

#[test]
fn large_events_at_full_speed_are_all_there() {
    // 16 streams of 200 events of 8 KB, back to back: nothing is lost, the times never go backwards.
    let script = stream(|reply| {
        reply.event_bytes = Some(8192);
        reply.tokens = 200;
        reply.interval_ms = 0.0;
    });
    let run = text_run(script, "--batch_size 16 --output_len 200").0.expect(0);
    for record in run.measured() {
        assert_eq!(record.events.iter().filter(|event| event.kind.letter() == 't').count(), 200);
        assert!(record.events.windows(2).all(|pair| pair[0].user_ns <= pair[1].user_ns));
        assert!(record.events.iter().all(|event| event.kind.letter() == 'd' || event.bytes >= 8000));
    }
}

#[test]
fn the_kernels_times_are_used_where_there_are_any() {
    let run = text_run(Script::steady(20.0, 5.0, 20), "").0.expect(0);
    let log = run.log();
    let record = run.measured().remove(0);
    if log.header.client.kernel_stamps {
        assert!(record.events.iter().all(|event| event.kernel_ns.is_none_or(|kernel| kernel <= event.user_ns)));
        assert!(record.events.iter().filter(|event| event.kernel_ns.is_some()).count() * 2 > record.events.len());
    } else {
        assert!(record.events.iter().all(|event| event.kernel_ns.is_none()));
    }
}
