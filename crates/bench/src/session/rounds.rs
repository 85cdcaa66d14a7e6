//! One round: the driver's events become records, on the disk as they end.

use super::{Failure, Session, no_server};
use crate::driver::{self, Job, RunEvent};
use crate::net::ConnectError;
use crate::store::{Store, StoreError};
use measure::{Detail, Outcome, Phase, RequestRecord};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

impl Session {
    /// Runs one round to its end, recording as requests end.
    pub(super) fn round(&mut self, job: Job) -> Result<(), Failure> {
        let title = match job.phase {
            Phase::Accuracy | Phase::Preliminary => self.lang().pick("first request", "首个请求"),
            Phase::Warmup => self.lang().pick("warm-up", "预热"),
            Phase::Measured => self.lang().pick("measuring", "测量"),
            Phase::Proof => self.lang().pick("image proof", "图像验证"),
        };
        let (items, phase) = (Arc::clone(&job.items), job.phase);
        let mut ended = 0;
        self.view.begin(title, job.requests, job.duration);
        // One request after the other needs one thread.
        let threads = if phase == Phase::Measured || phase == Phase::Warmup { self.plan.threads } else { 1 };
        let running = driver::start(&job, threads, &self.reach, &self.stop)
            .map_err(|error| Failure::server(error.to_string()))?;
        let mut no_server_error: Option<ConnectError> = None;
        let mut broken: Option<String> = None;
        loop {
            match running.events.recv_timeout(Duration::from_millis(250)) {
                Ok(RunEvent::Finished) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    broken.get_or_insert_with(|| "its thread ended without a word".into());
                    break;
                }
                Ok(RunEvent::Broken(why)) => broken = Some(why),
                Ok(RunEvent::GaveUp { refusals }) => self.view.say(self.lang().pick(
                    format!("the server is gone: {refusals} connections in a row were refused; nothing more is sent in this round"),
                    format!("服务端已不可达：连续 {refusals} 次连接失败；本轮不再发送请求"),
                )),
                Ok(RunEvent::NoServer(error)) => no_server_error = Some(error),
                Ok(RunEvent::Segment(index, segment)) => self.recorder.segment(index, &segment),
                Ok(RunEvent::Ended(request)) => {
                    ended += 1;
                    let was_sent = request.end.is_ok();
                    self.next_index = self.next_index.max(request.planned.index + 1);
                    let record = self.recorder.ended(*request, &items);
                    self.view.ended(&record, was_sent);
                    if phase == Phase::Accuracy {
                        self.view.apart(|| self.print_answer(&record, ended));
                    }
                    self.keep(record);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.view.progress(running.counters.sent(), running.counters.first_tokens());
            self.tick();
        }
        running.join();
        self.view.finish();
        // What follows a round may take long: its records are on the disk first.
        let result = self.store.as_mut().map(|store| store.flush().map(|()| true));
        self.report_store(result);
        if let Some(why) = broken {
            let text = self.lang().pick(
                format!("the client itself failed while it sent: {why}"),
                format!("客户端自身在发送时出错：{why}"),
            );
            self.end_early(&format!("the client itself failed: {why}"));
            return Err(Failure::server(text));
        }
        match no_server_error {
            Some(error) => {
                self.end_early(&error.to_string());
                Err(no_server(&error, &self.plan, self.lang()))
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
