//! One request of a round, from its connection to its end. However its task ends, its request is accounted for.

use super::{Counters, Ended, Planned, Reach, Round, RunEvent};
use crate::net::{BodyParts, Conn, ConnectError, Ending, PartsBody, Progress, Tape, exchange, overridden};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use measure::{Connection, Outcome};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// An idle connection older than this may be one that the server is closing: vLLM's HTTP server does after 5 s.
const STALE_AFTER_NS: u64 = 3_000_000_000;
/// How long a request that found no connection keeps its place among those in flight.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The headers of every request: the benchmark's own under the user's.
pub(super) fn headers(reach: &Reach) -> HeaderMap {
    let mut ours = reach.target.headers();
    ours.insert(USER_AGENT, HeaderValue::from_static(concat!("vlm-benchmark/", env!("CARGO_PKG_VERSION"))));
    ours.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json"));
    ours.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    overridden(ours, &reach.headers)
}

/// A request that has to be accounted for: dropped without an end, as by a panic, it tells one itself.
pub(super) struct Due {
    round: Rc<Round>,
    /// `None` once it has been accounted for.
    planned: Option<Planned>,
    connection: Option<Connection>,
}

impl Due {
    pub(super) fn new(round: &Rc<Round>, planned: Planned) -> Self {
        Self { round: Rc::clone(round), planned: Some(planned), connection: None }
    }

    fn end(mut self, end: Result<Tape, Outcome>) {
        self.tell(end);
    }

    fn tell(&mut self, end: Result<Tape, Outcome>) {
        if let Some(planned) = self.planned.take() {
            let connection = self.connection.take();
            self.round.tell(RunEvent::Ended(Box::new(Ended { planned, connection, end })));
        }
    }

    fn stopped(self) {
        self.end(Err(Outcome::NotSent { reason: "the run was stopped".into() }));
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        let sent = self.connection.is_some();
        self.tell(Err(if sent {
            Outcome::Truncated { reason: "the client itself failed while the reply came".into() }
        } else {
            Outcome::NotSent { reason: "the client itself failed before it was sent".into() }
        }));
    }
}

/// One request, from its connection to its end.
pub(super) async fn one(mut due: Due, permit: Option<OwnedSemaphorePermit>) {
    let Some(planned) = &due.planned else { return };
    let (index, item, intended_ns) = (planned.index, planned.item, planned.intended_ns);
    let round = Rc::clone(&due.round);
    let mut stop = round.stop.clone();
    let ready = tokio::select! {
        ready = connection(&round) => ready,
        () = stop.stopped() => return due.stopped(),
    };
    let (mut conn, reopened) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            due.end(Err(Outcome::ConnectFailed { message: error.to_string() }));
            // Its place stays taken for a while: a dead server is not asked as fast as it refuses.
            tokio::select! {
                () = tokio::time::sleep(AFTER_REFUSAL) => {}
                () = stop.stopped() => {}
            }
            return;
        }
    };
    let request = round.items.get(item).ok_or_else(|| "there is no such request".to_owned());
    let request = match request.and_then(|item| request_of(&round, &item.body, index)) {
        Ok(request) => request,
        Err(reason) => return due.end(Err(Outcome::NotSent { reason })),
    };
    tokio::select! {
        () = round.timer.sleep_until(intended_ns) => {}
        () = stop.stopped() => return due.stopped(),
    }
    Counters::count(&round.counters.sent);
    due.connection = Some(Connection { id: conn.id, reused: conn.carried, connect_ns: conn.connect_ns, reopened });
    let tape = exchange(&mut conn, request, round.limits, &mut stop, |progress| match progress {
        Progress::FirstToken => Counters::count(&round.counters.first_tokens),
        Progress::Segment(segment) => round.tell(RunEvent::Segment(index, segment)),
    })
    .await;
    if tape.ending == Ending::Whole && !conn.sender.is_closed() {
        round.idle.borrow_mut().push(conn);
    }
    drop(permit);
    due.end(Ok(tape));
}

/// An idle connection that is surely open, or a new one; and whether it replaces one that had gone stale.
async fn connection(round: &Round) -> Result<(Conn, bool), ConnectError> {
    let mut replaced = false;
    loop {
        let idle = round.idle.borrow_mut().pop();
        let Some(mut conn) = idle else { break };
        let fresh = stamp::now_ns().saturating_sub(conn.idle_since_ns) < STALE_AFTER_NS;
        if fresh && conn.sender.ready().await.is_ok() {
            return Ok((conn, replaced));
        }
        replaced = true;
    }
    let opened = round.connector.open().await;
    match &opened {
        Ok(_) => round.refusals.connected(),
        Err(error) if error.is_local() => {}
        Err(_) => round.refusals.refused(stamp::now_ns()),
    }
    Ok((opened?, replaced))
}

fn request_of(round: &Round, body: &BodyParts, index: u64) -> Result<Request<PartsBody>, String> {
    let words = |error: hyper::http::Error| error.to_string();
    let request = Request::builder().method(Method::POST).uri(round.path.as_str()).body(body.body());
    let mut request = request.map_err(words)?;
    *request.headers_mut() = round.headers.clone();
    if !round.headers.contains_key(REQUEST_ID) {
        let id = HeaderValue::try_from(format!("vlm-{:016x}-{index}", round.nonce));
        request.headers_mut().insert(REQUEST_ID, id.map_err(|error| words(error.into()))?);
    }
    Ok(request)
}
