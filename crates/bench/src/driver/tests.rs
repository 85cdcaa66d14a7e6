//! Rounds against sockets of this process: what becomes of requests when something goes wrong.

use super::*;
use crate::net::BodyParts;
use std::net::TcpListener;

/// A server that takes connections and never answers; it lives as long as its listener.
pub(super) fn reach() -> (Reach, TcpListener) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::parse(&format!("http://{}", server.local_addr().unwrap())).unwrap();
    let limit = Duration::from_secs(60);
    let reach = Reach {
        target,
        tls: None,
        connect_limit: limit,
        path: "/v1/chat/completions".into(),
        headers: HeaderMap::new(),
        limits: Limits { first_token: limit, idle: limit, total: limit },
        ids: RunIds::new(),
    };
    (reach, server)
}

pub(super) fn job(requests: Option<u64>, cap: Option<u32>) -> Job {
    let item = Item { prompt: 0, images: vec![], output_len: 1, body: BodyParts::new(vec!["{}".into()]) };
    Job {
        items: [item].into(),
        item_first: 0,
        index_first: 0,
        phase: Phase::Measured,
        round: 0,
        requests,
        schedule: None,
        cap,
        over_cap: OverCap::Wait,
        duration: None,
        must_connect: true,
        share: Share::WHOLE,
    }
}

pub(super) fn round(reach: Reach) -> Round {
    let (_, stop) = crate::stop::Stopper::new();
    let (tell, _) = channel();
    Round::new([].into(), reach, Timer::start().unwrap(), stop, (tell, Arc::default()))
}

pub(super) fn on_a_thread<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

/// Runs a job to its end: how each request ended by its number, and what else was told.
fn run(job: Job, reach: Reach) -> (Vec<(u64, Outcome)>, Vec<String>) {
    let (_stopper, stop) = crate::stop::Stopper::new();
    let running = start(&job, 1, &reach, &stop).unwrap();
    let (mut ended, mut told) = (Vec::new(), Vec::new());
    loop {
        match running.events.recv_timeout(Duration::from_secs(60)).expect("it comes to its end") {
            RunEvent::Ended(end) => ended.push((end.planned.index, end.end.err().unwrap_or(Outcome::Complete))),
            RunEvent::Broken(why) => told.push(format!("broken: {why}")),
            RunEvent::NoServer(error) => told.push(format!("no server: {error}")),
            RunEvent::GaveUp { .. } => told.push("gave up".into()),
            RunEvent::Finished => break,
            RunEvent::Segment(..) => {}
        }
    }
    running.join();
    ended.sort_by_key(|(index, _)| *index);
    (ended, told)
}

#[test]
fn a_panic_on_the_io_thread_is_told_and_loses_no_request() {
    let (reach, _server) = reach();
    let mut job = job(Some(3), None);
    // Two are on their way, the third's time cannot be told.
    job.schedule = Some(Arc::new(|| {
        Box::new([0, 1, 2_000_000_000].into_iter().chain(std::iter::once_with(|| panic!("no more times"))))
    }));
    job.requests = Some(4);
    let (ended, told) = run(job, reach);
    assert_eq!(told, ["broken: no more times"]);
    let kinds: Vec<(u64, &str)> = ended.iter().map(|(index, outcome)| (*index, outcome.name())).collect();
    assert_eq!(kinds, [(0, "truncated"), (1, "truncated"), (2, "not_sent")]);
    assert!(ended.iter().all(|(_, outcome)| outcome.cause(measure::Lang::En).contains("the client itself failed")));
}

#[test]
fn a_server_that_is_gone_is_given_up_and_every_request_is_counted() {
    let (reach, server) = reach();
    drop(server);
    let mut job = job(Some(1000), Some(8));
    job.must_connect = false;
    let (ended, told) = run(job, reach);
    assert_eq!(told, ["gave up"]);
    assert_eq!(ended.iter().map(|(index, _)| *index).collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
    let refused = ended.iter().filter(|(_, outcome)| outcome.name() == "connect_failed").count();
    // At least fifty, and eight every tenth of a second for little more than three seconds.
    assert!((50..900).contains(&refused), "{refused}");
    assert!(ended.iter().skip(refused).all(|(_, outcome)| outcome.name() == "not_sent"));
}

#[test]
fn a_round_that_a_duration_bounds_ends_early_too() {
    let (reach, server) = reach();
    drop(server);
    let mut job = job(None, Some(8));
    (job.must_connect, job.duration) = (false, Some(Duration::from_secs(3600)));
    let (ended, told) = run(job, reach);
    assert_eq!(told, ["gave up"]);
    let last = ended.last().unwrap();
    assert_eq!((last.0 as usize + 1, last.1.name()), (ended.len(), "not_sent"));
}

#[test]
fn an_item_that_is_not_there_is_no_lost_request() {
    let (reach, _server) = reach();
    let mut job = job(Some(2), Some(1));
    job.items = [].into();
    let (ended, _) = run(job, reach);
    assert_eq!(ended.len(), 2);
}

#[test]
fn threads_share_the_requests_and_the_cap() {
    let (reach, server) = reach();
    drop(server);
    let (_stopper, stop) = crate::stop::Stopper::new();
    let mut job = job(Some(7), Some(5));
    job.must_connect = false;
    let running = start(&job, 3, &reach, &stop).unwrap();
    assert_eq!(running.threads.len(), 3);
    let mut ended: Vec<u64> = Vec::new();
    while let RunEvent::Ended(end) = running.events.recv_timeout(Duration::from_secs(60)).unwrap() {
        ended.push(end.planned.index);
    }
    running.join();
    ended.sort_unstable();
    assert_eq!(ended, (0..7).collect::<Vec<_>>());
    // More threads than requests at once have nothing to do.
    assert_eq!(start(&job, 64, &reach, &stop).unwrap().threads.len(), 5);
    job.must_connect = true;
    let running = start(&job, 2, &reach, &stop).unwrap();
    let told: Vec<RunEvent> =
        std::iter::from_fn(|| running.events.recv_timeout(Duration::from_secs(60)).ok()).collect();
    assert!(matches!(told[..], [RunEvent::NoServer(_), RunEvent::NoServer(_), RunEvent::Finished]));
}
