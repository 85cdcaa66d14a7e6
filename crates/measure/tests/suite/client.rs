//! What the client says of its own figures: arithmetic over hand-written records.

use crate::build::{MS, by_own_reads, log, request};
use measure::{BoundBy, ClientState, Footer, Lang, RequestRecord, RunLog, RunSummary, Summarise};

/// A request whose writes took so many µs and whose token events the kernel had so many µs before we read them.
fn seen(write_us: u64, lag_us: u64, events: &str) -> RequestRecord {
    let mut record = request(0, events, 14, 3);
    record.write_ns_max = Some(write_us * 1000);
    for event in &mut record.events {
        event.kernel_ns = Some(event.user_ns - lag_us * 1000);
    }
    record
}

fn verdict(log: &RunLog, how: &Summarise) -> measure::ClientVerdict {
    RunSummary::of(log, how).client
}

const PLAIN: &str = "r100 t100 t120 t140 f140 d141";

#[test]
fn a_ttft_is_good_to_what_the_write_took_and_ten_microseconds() {
    let client = verdict(&log(vec![seen(30, 25, "r99 t100 t120 t140 d141")]), &Summarise::default());
    assert_eq!(
        (client.state, client.ttft_bound_us, client.event_bound_us),
        (ClientState::Good, Some(40.0), Some(10.0))
    );
    assert_eq!(
        client.text(Lang::En),
        "client: figures good to ±40 µs (from the kernel's stamps; network card and interrupts not included)"
    );
}

#[test]
fn the_end_of_a_large_upload_is_noticed_as_late_as_an_event() {
    let mut large = seen(30, 25, "r99 t100 t120 t140 d141");
    large.body_bytes = 16 * 1024 + 1;
    let client = verdict(&log(vec![large]), &Summarise::default());
    assert_eq!((client.ttft_bound_us, client.net_of_upload_bound_us), (Some(40.0), Some(65.0)));
    let small = verdict(&log(vec![seen(30, 25, PLAIN)]), &Summarise::default());
    assert_eq!(small.net_of_upload_bound_us, None);
}

#[test]
fn our_own_reads_are_late_by_what_the_kernel_says() {
    let client = verdict(&log(vec![seen(30, 25, "r99 t100 t120 t140 d141")]), &by_own_reads());
    assert_eq!((client.state, client.ttft_bound_us), (ClientState::Good, Some(65.0)));
    assert!(client.text(Lang::En).contains("own reads"));
}

#[test]
fn a_first_token_that_shares_its_read_may_have_come_after_the_read_before() {
    let client = verdict(&log(vec![seen(0, 0, "r90 t100 t100 t140 d141")]), &Summarise::default());
    assert_eq!((client.state, client.ttft_bound_us), (ClientState::Imprecise, Some(10_010.0)));
    // With nothing before it, after the request was out.
    let client = verdict(&log(vec![seen(0, 0, "t100 t100 t140 d141")]), &Summarise::default());
    assert_eq!(client.ttft_bound_us, Some(100_010.0));
    assert_eq!(client.ttft_bound_by, Some(BoundBy::SharedRead));
    assert!(
        client.text(Lang::En).contains("not overloaded, yet TTFT good to ±100.0 ms only: first tokens shared a read"),
        "{}",
        client.text(Lang::En)
    );
}

#[test]
fn a_role_event_with_the_first_token_costs_nothing() {
    let client = verdict(&log(vec![seen(5, 0, PLAIN)]), &Summarise::default());
    assert_eq!(client.ttft_bound_us, Some(15.0));
}

#[test]
fn a_slow_write_is_named_and_no_overload() {
    let client = verdict(&log(vec![seen(2000, 0, PLAIN)]), &Summarise::default());
    assert_eq!((client.state, client.ttft_bound_by), (ClientState::Imprecise, Some(BoundBy::Write)));
    assert!(
        client.text(Lang::En).starts_with(
            "client: not overloaded, yet TTFT good to ±2.0 ms only: handing a request to the system took 2.0 ms (P99)"
        ),
        "{}",
        client.text(Lang::En)
    );
}

#[test]
fn a_late_read_bounds_our_own_times() {
    let client = verdict(&log(vec![seen(30, 900, "r99 t100 t120 t140 d141")]), &by_own_reads());
    assert_eq!((client.state, client.ttft_bound_by), (ClientState::Good, Some(BoundBy::ReadLag)));
    // The lag is a small part of what a shared read leaves open.
    let client = verdict(&log(vec![seen(30, 900, "r90 t100 t100 t140 d141")]), &by_own_reads());
    assert_eq!((client.state, client.ttft_bound_by), (ClientState::Imprecise, Some(BoundBy::SharedRead)));
}

#[test]
fn a_request_without_a_token_bounds_no_ttft() {
    let mut none = seen(2000, 0, "d100");
    none.index = 1;
    let client = verdict(&log(vec![none, seen(30, 0, "r90 t100 t100 t140 d141")]), &Summarise::default());
    assert_eq!((client.ttft_bound_us, client.ttft_bound_by), (Some(10_040.0), Some(BoundBy::SharedRead)));
}

#[test]
fn late_sends_are_the_clients_fault() {
    let mut late = seen(5, 0, PLAIN);
    (late.intended_ns, late.admitted_ns) = (0, Some(0));
    late.sent_ns = Some(6 * MS);
    let client = verdict(&log(vec![late]), &Summarise::default());
    assert_eq!(client.state, ClientState::Overloaded);
    assert!(client.text(Lang::Zh).contains("发送迟 6.0"), "{}", client.text(Lang::Zh));
}

#[test]
fn a_shared_core_is_named_and_spoils_only_our_own_reads() {
    let mut log = log(vec![seen(5, 4000, PLAIN)]);
    let footer = log.footer.take().unwrap();
    log.footer = Some(Footer { client_cpu_ns: Some(MS), client_involuntary_switches: Some(7), ..footer });
    let client = verdict(&log, &Summarise::default());
    assert_eq!((client.state, client.ttft_bound_us, client.core_shared), (ClientState::Good, Some(15.0), true));
    assert!(
        client.text(Lang::En).ends_with("its core was shared: reads up to 4.0 ms late, the core taken away 7 times")
    );
    let client = verdict(&log, &by_own_reads());
    assert_eq!((client.state, client.core_shared), (ClientState::Overloaded, true));
    // A client that works all the time is its own neighbour.
    log.footer.as_mut().unwrap().client_cpu_ns = Some(141 * MS);
    assert!(!verdict(&log, &Summarise::default()).core_shared);
    // What it works before and after the measured rounds is no work in them.
    log.footer.as_mut().unwrap().client_cpu_load_ns = Some(MS);
    assert!(verdict(&log, &Summarise::default()).core_shared);
}

#[test]
fn what_the_records_do_not_tell_is_not_claimed() {
    let mut no_kernel = seen(5, 0, PLAIN);
    no_kernel.events[2].kernel_ns = None;
    let mut no_write = seen(5, 0, PLAIN);
    no_write.write_ns_max = None;
    for record in [no_kernel, no_write] {
        let client = verdict(&log(vec![seen(5, 0, PLAIN), record]), &Summarise::default());
        assert_eq!((client.state, client.ttft_bound_us), (ClientState::Unknown, None));
        assert!(client.text(Lang::En).contains("not known"));
    }
    assert_eq!(verdict(&log(vec![]), &Summarise::default()).state, ClientState::Unknown);
}

#[test]
fn what_one_read_brought_has_no_time_per_token() {
    let mut log = log(vec![seen(5, 0, "t100 t100 t100 d100"), seen(5, 0, "t100 t100 t120 d121")]);
    log.records[1].index = 1;
    let summary = RunSummary::of(&log, &Summarise::default());
    let tpot = summary.metric("tpot_ms").unwrap();
    assert_eq!((tpot.n, tpot.undefined, tpot.mean.value), (1, 1, 10.0));
}

#[test]
fn a_first_token_before_the_end_of_the_upload_is_known_leaves_the_rest_unknown() {
    let mut early = seen(5, 0, PLAIN);
    early.body_sent_ns = Some(101 * MS);
    let summary = RunSummary::of(&log(vec![early]), &Summarise::default());
    assert!(summary.metric("ttft_net_of_upload_ms").is_none_or(|metric| metric.n == 0));
}

#[test]
fn a_server_that_is_gone_makes_no_run_shorter() {
    let mut gone = RequestRecord::planned(1, measure::Phase::Measured);
    gone.outcome = measure::Outcome::ConnectFailed { message: "refused".into() };
    gone.ended_ns = Some(3_000 * MS);
    let summary = RunSummary::of(&log(vec![seen(5, 0, PLAIN), gone]), &Summarise::default());
    // One complete request in 3 s, not in the 141 ms until its last event.
    assert_eq!((summary.duration_s, summary.throughput.requests_per_s), (Some(3.0), Some(1.0 / 3.0)));
}

#[test]
fn gaps_that_shared_reads_leave_open_are_said_beside_a_good_ttft() {
    let client = verdict(&log(vec![seen(5, 0, "r99 t100 t140 t140 d141")]), &Summarise::default());
    assert_eq!((client.state, client.ttft_bound_us), (ClientState::Good, Some(15.0)));
    assert!(client.text(Lang::En).contains("single times between tokens good to ±"), "{}", client.text(Lang::En));
}
