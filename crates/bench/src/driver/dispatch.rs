//! Lets the requests of a round go, each at its time and under the cap, and accounts for those that do not.

use super::request::{Due, one};
use super::{Job, Planned, Round, RunEvent};
use crate::cli::OverCap;
use measure::Outcome;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// A connection is made ready this long before its request is to be sent.
const LEAD_NS: u64 = 100_000_000;

/// Sends this thread's share of a round, from its first request to the end of its last.
pub(super) async fn dispatch(round: &Rc<Round>, job: &Job, start_ns: u64) {
    let mut end = End::of(round, job.duration.map(|duration| start_ns + duration.as_nanos() as u64));
    let room = job.cap.map(|cap| Arc::new(Semaphore::new(job.share.of(u64::from(cap)) as usize)));
    let mut offsets = job.schedule.as_ref().map(|offsets_ns| offsets_ns());
    let mut tasks = JoinSet::new();
    let mut numbers = 0u64..job.requests.unwrap_or(u64::MAX);
    // The schedule is all threads' own: the gaps of others' requests pass too.
    while let Some((number, offset)) = numbers.next().map(|number| (number, offsets.as_mut().and_then(Iterator::next)))
    {
        if !job.share.has(number) {
            continue;
        }
        // Ended tasks are let go, so that a long run does not gather them. One that panicked has accounted for its
        // request.
        while tasks.try_join_next().is_some() {}
        let mut planned = plan(job, number, start_ns + offset.unwrap_or(0));
        if end.is_past(offset.map_or_else(stamp::now_ns, |_| planned.intended_ns)) {
            break;
        }
        match admit(round, job, offset.is_some(), planned.intended_ns, &mut end, room.as_ref()).await {
            Admitted::Go(permit) => {
                let admitted_ns = stamp::now_ns().max(planned.intended_ns);
                if offset.is_none() {
                    if end.is_past(admitted_ns) {
                        break;
                    }
                    if let Some(refusals) = round.refusals.gone(admitted_ns) {
                        give_up(round, job, number, start_ns, refusals);
                        break;
                    }
                    planned.intended_ns = admitted_ns;
                }
                planned.admitted_ns = Some(admitted_ns);
                tasks.spawn_local(one(Due::new(round, planned), permit));
            }
            Admitted::Over if offset.is_none() => break,
            Admitted::Over => unsent(round, planned, "the duration was over before there was room for it".into()),
            Admitted::Dropped => {
                let cap = job.cap.unwrap_or_default();
                unsent(round, planned, format!("{cap} requests were in flight already (--over-cap drop)"));
            }
            Admitted::Stopped if job.requests.is_none() => break,
            Admitted::Stopped => unsent(round, planned, "the run was stopped".into()),
        }
    }
    while tasks.join_next().await.is_some() {}
}

fn plan(job: &Job, number: u64, intended_ns: u64) -> Planned {
    Planned {
        index: job.index_first + number,
        phase: job.phase,
        round: job.round,
        item: (job.item_first as u64).wrapping_add(number) as usize % job.items.len().max(1),
        intended_ns,
        admitted_ns: None,
    }
}

fn unsent(round: &Round, planned: Planned, reason: String) {
    round.unsent(planned, Outcome::NotSent { reason });
}

/// The server is gone. What was still to be sent is on the record as not sent; of a round that a duration bounds, the
/// one request that was due.
fn give_up(round: &Round, job: &Job, number: u64, start_ns: u64, refusals: u32) {
    round.tell(RunEvent::GaveUp { refusals });
    for left in (number..job.requests.unwrap_or(number + 1)).filter(|left| job.share.has(*left)) {
        let reason = "connections were refused one after the other until nothing more was sent".into();
        unsent(round, plan(job, left, start_ns), reason);
    }
}

/// The end of the sending. One sleep serves the whole round, however many requests wait for room.
struct End {
    at_ns: Option<u64>,
    reached: watch::Receiver<bool>,
}

impl End {
    fn of(round: &Round, at_ns: Option<u64>) -> Self {
        let (tell, reached) = watch::channel(false);
        if let Some(at_ns) = at_ns {
            let timer = round.timer.clone();
            tokio::task::spawn_local(async move {
                timer.sleep_until(at_ns).await;
                tell.send_replace(true);
            });
        }
        Self { at_ns, reached }
    }

    fn is_past(&self, now_ns: u64) -> bool {
        self.at_ns.is_some_and(|at_ns| now_ns >= at_ns)
    }

    async fn reached(&mut self) {
        if self.reached.wait_for(|reached| *reached).await.is_err() {
            // There is no end.
            std::future::pending::<()>().await;
        }
    }
}

enum Admitted {
    Go(Option<OwnedSemaphorePermit>),
    Dropped,
    Over,
    Stopped,
}

/// Waits for a request's time (less what its connection needs) and for room among those in flight.
async fn admit(
    round: &Round,
    job: &Job,
    timed: bool,
    intended_ns: u64,
    end: &mut End,
    room: Option<&Arc<Semaphore>>,
) -> Admitted {
    let mut stop = round.stop.clone();
    if stop.cause().is_some() {
        return Admitted::Stopped;
    }
    let dropping = timed && job.over_cap == OverCap::Drop && room.is_some();
    let wait_until_ns = if dropping { intended_ns } else { intended_ns.saturating_sub(LEAD_NS) };
    if timed {
        tokio::select! {
            () = round.timer.sleep_until(wait_until_ns) => {}
            () = stop.stopped() => return Admitted::Stopped,
        }
    }
    let Some(room) = room else { return Admitted::Go(None) };
    if dropping {
        return Arc::clone(room).try_acquire_owned().map_or(Admitted::Dropped, |permit| Admitted::Go(Some(permit)));
    }
    tokio::select! {
        biased;
        permit = Arc::clone(room).acquire_owned() => Admitted::Go(permit.ok()),
        () = stop.stopped() => Admitted::Stopped,
        () = end.reached() => Admitted::Over,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{job, reach, round};
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_round_with_a_duration_keeps_one_sleep() {
        let (target, _server) = reach();
        super::super::tests::on_a_thread(async {
            let round = round(target);
            let job = job(None, Some(1));
            let mut end = End::of(&round, Some(stamp::now_ns() + 60_000_000_000));
            tokio::task::yield_now().await;
            let room = Arc::new(Semaphore::new(1));
            for _ in 0..100 {
                // Each finds the room taken at first, and so waits for the end too.
                let taken = Arc::clone(&room).try_acquire_owned().unwrap();
                let free = async {
                    tokio::task::yield_now().await;
                    drop(taken);
                };
                let (admitted, ()) = tokio::join!(admit(&round, &job, false, 0, &mut end, Some(&room)), free);
                assert!(matches!(admitted, Admitted::Go(Some(_))));
            }
            assert_eq!(round.timer.kept(), 1);
        });
    }

    #[test]
    fn the_end_is_noticed_while_there_is_no_room() {
        let (target, _server) = reach();
        super::super::tests::on_a_thread(async {
            let round = round(target);
            let job = job(None, Some(1));
            let mut end = End::of(&round, Some(stamp::now_ns() + 20_000_000));
            let room = Arc::new(Semaphore::new(0));
            // Asked again after the end, it is over again.
            for _ in 0..2 {
                let admitted = admit(&round, &job, false, 0, &mut end, Some(&room));
                let admitted = tokio::time::timeout(Duration::from_secs(60), admitted).await.unwrap();
                assert!(matches!(admitted, Admitted::Over));
            }
        });
    }
}
