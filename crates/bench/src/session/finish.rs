//! The end of a run: what is left to count, the block, the files, the exit status.

use super::{Session, print_out};
use crate::counting::{Counter, Texts};
use crate::hints;
use crate::stop::stop_status;
use crate::store::Store;
use crate::usage;
use measure::{ClientState, Footer, Lang, Outcome, Phase, RequestRecord, RunLog, RunSummary, Summarise};

impl Session {
    /// The run cannot go on: what there is of it is in order on the disk.
    pub(super) fn end_early(&mut self, why: &str) {
        let footer = Footer { interrupted: Some(why.to_owned()), ..Footer::default() };
        let (records, _) = self.take_records();
        let log = RunLog { header: self.header.clone(), records, footer: Some(footer.clone()) };
        let how = self.how();
        let summary = RunSummary::of(&log, &how);
        if let Some(store) = self.store.take() {
            self.write_files(store, &footer, &log, &summary);
        }
    }

    fn how(&self) -> Summarise {
        Summarise {
            definitions: self.plan.definitions,
            clock: self.plan.clock,
            goodput: self.plan.goodput.clone(),
            slo: self.plan.slo.clone(),
            min_score: self.plan.min_score,
        }
    }

    /// Counts what is left to count, prints the block and the rest, writes the files; the exit status.
    pub(super) fn finish(mut self) -> u8 {
        let usage = self.usage_before.since();
        let client_rss_bytes_max = usage::rss_bytes_max();
        let (mut records, lost) = self.take_records();
        let step = stamp::wall_minus_monotonic_ns() - self.wall_minus_monotonic_ns;
        let asked = std::mem::take(&mut self.asked);
        let (counter, error) = Counter::find(&self.plan.tokenizer_spec(), &self.asker, &self.model, &self.stop);
        if let Some(error) = error {
            self.view.say(format!("{}: {}", self.lang().pick("caution", "注意"), error.text(self.lang() == Lang::Zh)));
        }
        let text_tokens = counter.text_tokens(&Texts::of(&self.workload), asked, &self.plan.url);
        counter.count_answers(&mut records);
        let footer = Footer {
            interrupted: self.stop.cause().map(str::to_owned).or(lost.clone()),
            text_tokens,
            retokenised: records.iter().filter_map(|record| Some((record.index, record.retokenised?))).collect(),
            image_proof: self.proof.clone(),
            wall_clock_step_ns: Some(step),
            client_cpu_ns: Some(usage.cpu_ns()),
            client_cpu_load_ns: self.load_cpu_ns,
            client_rss_bytes_max,
            client_involuntary_switches: usage.involuntary_switches(),
            tcp_retransmits: usage.tcp_retransmits(),
            server_times: std::mem::take(&mut self.server_times),
            proxy: self.reach.target.proxy_name(),
        };
        let how = self.how();
        let log = RunLog { header: self.header.clone(), records, footer: Some(footer.clone()) };
        let summary = RunSummary::of(&log, &how);
        print_out(&measure::block(&summary));
        self.view.say(measure::report(&log, &summary, self.view.lang()).trim_end());
        let known = self.known(log.records.iter().any(|record| record.status.is_some()));
        for hint in failure_hints(&log, &known) {
            self.view.say(hint);
        }
        if let Some(store) = self.store.take() {
            self.write_files(store, &footer, &log, &summary);
        }
        let unanswered =
            log.records.iter().any(|record| record.phase == Phase::Accuracy && record.outcome != Outcome::Complete);
        exit_status(&summary, self.stop.cause(), unanswered || lost.is_some(), self.plan.strict_client)
    }

    /// All records, those that lie on the disk alone read back. Where that fails, what is missing is said, and the run is
    /// not whole.
    fn take_records(&mut self) -> (Vec<RequestRecord>, Option<String>) {
        let (records, error) = self.records.take();
        let lost = error.map(|error| {
            let why = error.text(self.lang());
            self.view.say(self.lang().pick(
                format!("caution: the records of the load cannot be read back; the figures leave them out: {why}"),
                format!("注意：无法读回已写入的请求记录，指标不含这些请求：{why}"),
            ));
            format!("records not read back: {why}")
        });
        (records, lost)
    }

    /// Ends the run's files and says where they are.
    fn write_files(&self, mut store: Store, footer: &Footer, log: &RunLog, summary: &RunSummary) {
        match store.finish(footer, log, summary, &self.how(), &self.extras) {
            Ok(()) => {
                self.view.say(format!("{}: {}", self.lang().pick("files", "文件"), store.folder().display()));
            }
            Err(error) => self.view.say(error.text(self.lang())),
        }
    }
}

/// 130/143, 1, 3, 4, 5 in this order; 0 when all is well. `missing`: an image of the accuracy run has no answer, or records cannot be
/// read back; that is a failure too.
fn exit_status(summary: &RunSummary, stopped: Option<&str>, missing: bool, strict: bool) -> u8 {
    match stopped {
        Some(cause) => stop_status(cause),
        None if summary.counts.complete == 0 => 1,
        None if summary.counts.failed > 0 || missing => 3,
        None if !summary.keeps_slo() || !summary.keeps_min_score() => 4,
        None if strict && summary.client.state != ClientState::Good => 5,
        None => 0,
    }
}

/// One hint for each kind of failure among the measured requests.
fn failure_hints(log: &RunLog, known: &hints::Known<'_>) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    for record in log.records.iter().filter(|record| record.phase == Phase::Measured) {
        if let Some(text) = hints::hint(record, known) {
            let line = format!("{}: {text}", known.lang.pick("hint", "提示"));
            if !hints.contains(&line) {
                hints.push(line);
            }
        }
    }
    hints
}
