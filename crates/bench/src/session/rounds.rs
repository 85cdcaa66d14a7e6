//! One round: the driver's events become records, on the disk as they end.

use super::{Failure, Session, no_server};
use crate::driver::{self, Job, RunEvent};
use crate::net::ConnectError;
use crate::store::{Store, StoreError};
use crate::words::{Words, words};
use crate::workload::Item;
use measure::{Detail, Lang, Outcome, Phase, RequestRecord};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// What a round has come to.
struct Round {
    phase: Phase,
    items: Arc<[Item]>,
    /// Requests that have ended.
    ended: usize,
    no_server: Option<ConnectError>,
    /// The client itself failed.
    broken: Option<Words>,
}

impl Session {
    /// Runs one round to its end, recording as requests end.
    pub(super) fn round(&mut self, job: Job) -> Result<(), Failure> {
        let phase = job.phase;
        self.view.begin(title(phase, self.lang()), job.requests, job.duration);
        // One request after the other needs one thread.
        let threads = if phase == Phase::Measured || phase == Phase::Warmup { self.plan.threads } else { 1 };
        let running = driver::start(&job, threads, &self.reach, &self.stop)
            .map_err(|error| Failure::server(error.to_string()))?;
        let mut round = Round { phase, items: Arc::clone(&job.items), ended: 0, no_server: None, broken: None };
        loop {
            match running.events.recv_timeout(Duration::from_millis(250)) {
                Ok(RunEvent::Finished) => break,
                Ok(event) => self.take(event, &mut round),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let without = || words("its thread ended without a word", "其线程没有任何说明就结束了");
                    round.broken.get_or_insert_with(without);
                    break;
                }
            }
            self.view.progress(running.counters.sent(), running.counters.first_tokens());
            self.tick();
        }
        running.join();
        self.view.finish();
        // What follows a round may take long: its records are on the disk first.
        let result = self.store.as_mut().map(|store| store.flush().map(|()| true));
        self.report_store(result);
        self.judge(&round)
    }

    fn take(&mut self, event: RunEvent, round: &mut Round) {
        match event {
            RunEvent::Finished => {}
            RunEvent::Broken(why) => round.broken = Some(why),
            RunEvent::GaveUp { refusals } => self.view.say(self.lang().pick(
                format!("the server is gone: {refusals} connections in a row were refused; nothing more is sent in this round"),
                format!("服务端已不可达：连续 {refusals} 次连接失败；本轮不再发送请求"),
            )),
            RunEvent::NoServer(error) => round.no_server = Some(error),
            RunEvent::Segment(index, segment) => self.recorder.segment(index, &segment),
            RunEvent::Ended(request) => {
                round.ended += 1;
                let was_sent = request.end.is_ok();
                self.next_index = self.next_index.max(request.planned.index + 1);
                let record = self.recorder.ended(*request, &round.items);
                self.view.ended(&record, was_sent);
                if round.phase == Phase::Accuracy {
                    self.view.apart(|| self.print_answer(&record, round.ended));
                }
                self.keep(record);
            }
        }
    }

    /// Whether the run can go on after this round.
    fn judge(&mut self, round: &Round) -> Result<(), Failure> {
        if let Some(why) = &round.broken {
            let text = self.lang().pick(
                format!("the client itself failed while it sent: {why}"),
                format!("客户端自身在发送时出错：{}", why.text(Lang::Zh)),
            );
            self.end_early(&format!("the client itself failed: {why}"));
            return Err(Failure::server(text));
        }
        match &round.no_server {
            Some(error) => {
                self.end_early(&error.to_string());
                Err(no_server(error, &self.plan, self.lang()))
            }
            None => Ok(()),
        }
    }

    /// A record goes to the disk, with its answer only where that is printed, counted or asked for.
    fn keep(&mut self, mut record: RequestRecord) {
        let unbilled = record.usage.and_then(|usage| usage.completion).is_none();
        let printed = self.prints_a_measured_answer()
            && record.outcome == Outcome::Complete
            && self.printed.is_none()
            && record.phase == Phase::Measured;
        if printed {
            self.printed.clone_from(&record.text);
        }
        if record.phase == Phase::Measured && !unbilled && !printed && self.plan.detail != Detail::Text {
            record.text = None;
            record.reasoning = None;
        }
        let result = self.store.as_mut().map(|store| store.record(&record).map(|()| false));
        self.records.push(record);
        self.report_store(result);
    }

    fn tick(&mut self) {
        let result = self.store.as_mut().map(Store::tick);
        self.report_store(result);
    }

    /// What was written is safe after a flush (`Ok(true)`). A disk that refuses ends the writing, not the run: what it
    /// has not taken is still held, and what it has can be read back.
    fn report_store(&mut self, result: Option<Result<bool, StoreError>>) {
        match result {
            Some(Ok(true)) => self.records.flushed(),
            Some(Err(error)) => {
                let why = error.text(self.lang());
                self.view.say(self.lang().pick(
                    format!("caution: the run goes on without its files: {why}"),
                    format!("注意：无法写文件，测试继续：{why}"),
                ));
                self.store = None;
            }
            Some(Ok(false)) | None => {}
        }
    }
}

fn title(phase: Phase, lang: Lang) -> &'static str {
    match phase {
        Phase::Accuracy | Phase::Preliminary => lang.pick("first request", "首个请求"),
        Phase::Warmup => lang.pick("warm-up", "预热"),
        Phase::Measured => lang.pick("measuring", "测量"),
        Phase::Proof => lang.pick("image proof", "图像验证"),
    }
}
