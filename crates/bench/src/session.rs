//! A whole run, from the plan to the exit status.

use crate::arrival;
use crate::counting::{Asked, Texts};
use crate::driver::{Job, Reach, Share};
use crate::hints;
use crate::net::ConnectError;
use crate::plan::{Access, Plan, Schedule};
use crate::recorder::Recorder;
use crate::stop::StopSignal;
use crate::store::{Extras, Store};
use crate::survey::{Asker, ServerTimes};
use crate::usage::Usage;
use crate::view::View;
use crate::workload::{Draft, Item, Workload};
use measure::{Header, ImageProof, Lang, Outcome, Phase, ServerTime};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why a run could not be done, with its exit status: 1 where the server is to blame, 2 where the command line is.
#[derive(Debug)]
pub struct Failure {
    /// Exit status.
    pub status: u8,
    /// What happened, what is allowed, what to do.
    pub text: String,
}

impl Failure {
    fn usage(error: impl std::fmt::Display) -> Self {
        Self { status: 2, text: error.to_string() }
    }

    fn server(text: impl Into<String>) -> Self {
        Self { status: 1, text: text.into() }
    }
}

/// Where files go and what else they hold.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// `--output-dir`.
    pub folder: Option<PathBuf>,
    /// `--no-save`.
    pub no_save: bool,
    /// Byte order mark, JSON of vllm bench serve.
    pub extras: ExtraFiles,
    /// `--label`.
    pub label: Option<String>,
    /// `--card`.
    pub card: Option<String>,
    /// `--driver`.
    pub driver: Option<String>,
}

/// Files and forms beyond the usual.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExtraFiles {
    /// `--bom`.
    pub bom: bool,
    /// `--save-result`.
    pub save_result: bool,
}

/// Does the run of a plan whose files were read: the answer and the block on stdout, everything else on stderr and in the
/// run's folder.
///
/// # Errors
/// [`Failure`]; a run of which some requests failed is no failure but a status.
pub fn run(
    plan: Plan,
    access: Access,
    draft: Draft,
    output: &Output,
    stop: StopSignal,
    lang: Lang,
) -> Result<u8, Failure> {
    let mut session = Session::prepare(plan, access, draft, output, stop, lang)?;
    session.print_image_sizes();
    session.look_at_server_times();
    session.first_requests()?;
    session.ask_for_counts();
    session.warm_up()?;
    session.measure()?;
    session.prove_image()?;
    Ok(session.finish())
}

mod answers;
mod finish;
mod prepare;
mod proving;
mod records;
mod rounds;

pub use prepare::{check_files, read_files};
use records::Records;

struct Session {
    plan: Plan,
    model: String,
    models: Vec<String>,
    reach: Reach,
    asker: Asker,
    workload: Workload,
    header: Header,
    recorder: Recorder,
    records: Records,
    /// The answer that a cold run prints.
    printed: Option<String>,
    store: Option<Store>,
    extras: Extras,
    view: View,
    stop: StopSignal,
    next_index: u64,
    proof: Option<ImageProof>,
    asked: Asked,
    server_times: Vec<ServerTime>,
    /// Before anything was sent, where the server tells.
    server_times_at_start: Option<ServerTimes>,
    wall_minus_monotonic_ns: i64,
    usage_before: Usage,
    /// Processor time of the measured rounds.
    load_cpu_ns: Option<u64>,
    /// Holds the kernel's stamping on for the whole run.
    _stamping: Option<std::net::UdpSocket>,
}

impl Session {
    fn lang(&self) -> Lang {
        self.view.lang()
    }

    /// What hints may draw on. `has_answered`: whether the server answered a request of this run.
    fn known(&self, has_answered: bool) -> hints::Known<'_> {
        let proxy = self.reach.target.proxy_name();
        hints::Known { plan: &self.plan, models: &self.models, proxy, has_answered, lang: self.lang() }
    }

    /// The request before the load: its answer is the accuracy run's. One for each image of a folder.
    fn first_requests(&mut self) -> Result<(), Failure> {
        if self.plan.cold {
            return Ok(());
        }
        let phase = if self.plan.ignore_eos { Phase::Preliminary } else { Phase::Accuracy };
        let items = Arc::clone(&self.workload.accuracy);
        let (count, from) = (items.len() as u64, self.next_index);
        self.round(self.job(phase, items, 0, 0, Some(count), Some(1)))?;
        if self.stop.cause().is_some() {
            return Ok(());
        }
        let first = self.records.apart_from_load(from);
        if first.iter().all(|record| record.outcome != Outcome::Complete) {
            let record = first.first();
            let cause = record.map(|record| record.outcome.cause(Lang::En)).unwrap_or_default();
            let words = record.map(|record| record.outcome.cause(self.lang())).unwrap_or_default();
            let name = record.map(|record| record.outcome.name()).unwrap_or_default();
            let hint = record.and_then(|record| hints::hint(record, &self.known(self.records.any_complete())));
            self.end_early(&cause);
            let text = self.lang().pick(
                format!("the first request failed ({name}): {words}"),
                format!("第一个请求失败（{name}）：{words}"),
            );
            return Err(Failure::server(with_hint(text, hint)));
        }
        Ok(())
    }

    /// A server without a tokenizer at hand here counts the prompts itself, while it is surely there.
    fn ask_for_counts(&mut self) {
        let spec = self.plan.tokenizer_spec();
        self.asked = Asked::of(&spec, &Texts::of(&self.workload), &self.asker, &self.model, &self.stop);
    }

    fn warm_up(&mut self) -> Result<(), Failure> {
        for round in 0..self.plan.warmup {
            if self.stop.cause().is_some() {
                break;
            }
            let items = Arc::clone(&self.workload.warmup);
            let first = self.records.next_item(Phase::Warmup);
            let job = self.job(Phase::Warmup, items, first, round, self.plan.requests, self.plan.max_concurrency);
            self.round(self.scheduled(job, u64::from(round) ^ 0x5757))?;
        }
        Ok(())
    }

    fn look_at_server_times(&mut self) {
        let tells = !self.header.server.metric_names.is_empty();
        self.server_times_at_start = tells.then(|| self.asker.server_times(&self.model, &self.stop)).flatten();
    }

    /// After a stop the rounds go on in name only: each of their requests is recorded as not sent.
    fn measure(&mut self) -> Result<(), Failure> {
        let profiled = self.plan.profile && self.stop.cause().is_none();
        if profiled {
            self.profile("/start_profile");
        }
        // With what came before the load counted: a server counts some of it after it has answered.
        let before = self.server_times_now(self.server_times_at_start.as_ref(), self.records.complete());
        let usage = Usage::now();
        let result = (0..self.plan.rounds).try_for_each(|round| self.measured_round(round));
        self.load_cpu_ns = Some(usage.since().cpu_ns());
        if let Some(before) = before {
            let after = self.server_times_now(Some(&before), self.records.complete_measured());
            self.server_times = after.map(|after| after.since(&before)).unwrap_or_default();
        }
        if profiled {
            self.profile("/stop_profile");
        }
        result?;
        self.print_measured_answer();
        Ok(())
    }

    /// The server's own times once it has counted `requests` since `before`, where it tells any.
    fn server_times_now(&self, before: Option<&ServerTimes>, requests: u64) -> Option<ServerTimes> {
        self.asker.settled_server_times(before?, requests, &self.model, &self.stop)
    }

    fn measured_round(&mut self, round: u32) -> Result<(), Failure> {
        let items = Arc::clone(&self.workload.measured);
        let first = self.records.next_item(Phase::Measured);
        let job = self.job(Phase::Measured, items, first, round, self.plan.requests, self.plan.max_concurrency);
        self.round(self.scheduled(job, u64::from(round)))
    }

    fn profile(&self, path: &str) {
        if let Err(why) = self.asker.profile(path) {
            self.view.say(self.lang().pick(
                format!("caution: the server's profiler cannot be switched: {why}"),
                format!("注意：无法切换服务端 profiler：{why}"),
            ));
        }
    }

    fn job(
        &self,
        phase: Phase,
        items: Arc<[Item]>,
        item_first: usize,
        round: u32,
        requests: Option<u64>,
        cap: Option<u32>,
    ) -> Job {
        Job {
            items,
            item_first,
            index_first: self.next_index,
            phase,
            round,
            requests,
            schedule: None,
            share: Share::WHOLE,
            cap,
            over_cap: self.plan.over_cap,
            duration: None,
            // Once something has been measured, a server that is lost is a finding, not the end of the run.
            must_connect: !self.records.any_complete(),
        }
    }

    /// The load's own schedule and duration.
    fn scheduled(&self, mut job: Job, stream: u64) -> Job {
        if let (Schedule::OpenLoop { arrivals }, Some(rate)) = (self.plan.schedule, self.plan.request_rate) {
            let seed = self.plan.seed.wrapping_add(stream.wrapping_mul(0x9e37_79b9));
            let shape = self.plan.burstiness;
            job.schedule = Some(Arc::new(move || Box::new(arrival::offsets_ns(arrivals, rate, shape, seed))));
        }
        job.duration = self.plan.duration_s.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        job
    }
}

/// stdout, flushed: people pipe it while a run goes on. A reader that has gone is no reason to stop measuring.
fn print_out(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn with_hint(text: String, hint: Option<String>) -> String {
    match hint {
        Some(hint) => format!("{text}\n  {hint}"),
        None => text,
    }
}

fn no_server(error: &ConnectError, plan: &Plan, lang: Lang) -> Failure {
    Failure::server(with_hint(error.text(lang), Some(hints::no_connection(error.proxy(), &plan.url, lang))))
}
