//! The end of a run: what is left to count, the block, the files, the exit status.

use super::{Session, print_out};
use crate::counting::Counter;
use crate::hints;
use crate::plan::Plan;
use crate::survey;
use measure::{Footer, Lang, Phase, RunLog, RunSummary, Summarise};

impl Session {
    /// The run cannot go on: what there is of it is in order on the disk.
    pub(super) fn end_early(&mut self, why: &str) {
        let footer = Footer { interrupted: Some(why.to_owned()), ..Footer::default() };
        let log = RunLog { header: self.header.clone(), records: self.records.clone(), footer: Some(footer.clone()) };
        let how = self.how();
        let summary = RunSummary::of(&log, &how);
        if let Some(mut store) = self.store.take()
            && let Err(error) = store.finish(&footer, &log, &summary, &how, &self.extras)
        {
            self.view.say(error.to_string());
        }
    }

    fn how(&self) -> Summarise {
        Summarise { definitions: self.plan.definitions, clock: self.plan.clock, goodput: self.plan.goodput.clone() }
    }

    /// Counts what is left to count, prints the block and the rest, writes the files; the exit status.
    pub(super) fn finish(mut self) -> u8 {
        let cpu_ns = stamp::cpu_ns().saturating_sub(self.cpu_ns_before);
        let step = stamp::wall_minus_monotonic_ns() - self.wall_minus_monotonic_ns;
        let (counter, error) = Counter::find(&self.plan.tokenizer_spec(), &self.asker, &self.model, &self.stop);
        if let Some(error) = error {
            self.view.say(format!("{}: {}", self.lang().pick("caution", "注意"), error.text(self.lang() == Lang::Zh)));
        }
        let text_tokens = counter.text_tokens(&self.workload.prompts, &self.plan.url);
        counter.count_answers(&mut self.records);
        self.records.sort_by_key(|record| record.index);
        let footer = Footer {
            interrupted: self.stop.cause().map(str::to_owned),
            text_tokens,
            retokenised: self.records.iter().filter_map(|record| Some((record.index, record.retokenised?))).collect(),
            image_proof: self.proof.clone(),
            wall_clock_step_ns: Some(step),
            client_cpu_ns: Some(cpu_ns),
            client_rss_bytes_max: survey::rss_bytes_max(),
            proxy: self.reach.target.proxy_name(),
        };
        let how = self.how();
        let log = RunLog { header: self.header.clone(), records: self.records, footer: Some(footer.clone()) };
        let summary = RunSummary::of(&log, &how);
        print_out(&measure::block(&summary));
        self.view.say(measure::story(&log, &summary, self.view.lang()).trim_end());
        let known = hints::Known {
            plan: &self.plan,
            models: &self.models,
            proxy: self.reach.target.proxy_name(),
            lang: self.view.lang(),
        };
        for hint in failure_hints(&log, &known) {
            self.view.say(hint);
        }
        if let Some(store) = &mut self.store {
            let files = self.view.lang().pick("files", "文件");
            match store.finish(&footer, &log, &summary, &how, &self.extras) {
                Ok(()) => self.view.say(format!("{files}: {}", store.folder().display())),
                Err(error) => self.view.say(error.to_string()),
            }
        }
        let missed = missed_limits(&summary, &self.plan, self.view.lang());
        for text in &missed {
            self.view.say(text);
        }
        exit_status(&summary, self.stop.cause(), !missed.is_empty())
    }
}

/// 130/143, 1, 3, 4 in this order; 0 when all is well.
fn exit_status(summary: &RunSummary, stopped: Option<&str>, limit_missed: bool) -> u8 {
    match stopped {
        Some(_) => stop_status(stopped),
        None if summary.counts.complete == 0 => 1,
        None if summary.counts.failed > 0 => 3,
        None if limit_missed => 4,
        None => 0,
    }
}

/// A line for each limit of the run that was not kept.
fn missed_limits(summary: &RunSummary, plan: &Plan, lang: Lang) -> Vec<String> {
    let missed = plan.slo.iter().filter_map(|limit| match summary.check(limit) {
        (_, true) => None,
        (value, false) => Some((limit, value)),
    });
    missed
        .map(|(limit, value)| {
            let value = value.map_or_else(|| "n/a".into(), |value| format!("{value:.3}"));
            let statistic = format!("{:?}", limit.statistic).to_lowercase();
            lang.pick(
                format!("limit missed: {} {statistic} is {value}, at most {} was allowed", limit.metric, limit.max),
                format!("未满足上限：{} {statistic} 为 {value}，上限 {}", limit.metric, limit.max),
            )
        })
        .collect()
}

/// The status of a run that a signal ended.
pub(super) fn stop_status(cause: Option<&str>) -> u8 {
    if cause == Some("SIGTERM") { 143 } else { 130 }
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
