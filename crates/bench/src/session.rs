//! A whole run, from the plan to the exit status.

use crate::arrival;
use crate::counting::Counter;
use crate::driver::{self, Job, Reach, RunEvent};
use crate::hints;
use crate::net::{ConnectError, FetchError, client_config, kernel_stamps_work};
use crate::plan::{Access, ImageSource, Plan, Schedule};
use crate::proof;
use crate::recorder::Recorder;
use crate::stop::StopSignal;
use crate::store::{Extras, Store, default_folder};
use crate::survey::{self, Asker, client_facts, model_ids};
use crate::tokens::{Env, Spec, resolve};
use crate::view::View;
use crate::workload::{Item, Workload, needs_tokenizer};
use geometry::{Family, Preprocessor};
use measure::{
    Clocks, Detail, Footer, Header, ImageProof, Lang, Outcome, Phase, RequestRecord, RunLog, RunSummary,
    SCHEMA_VERSION, Summarise,
};
use std::io::Write;
use std::path::{Path, PathBuf};
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

/// Does the run: the answer and the block on stdout, everything else on stderr and in the run's folder.
///
/// # Errors
/// [`Failure`]; a run of which some requests failed is no failure but a status.
pub fn run(plan: Plan, access: Access, output: &Output, stop: StopSignal, lang: Lang) -> Result<u8, Failure> {
    let mut session = Session::prepare(plan, access, output, stop, lang)?;
    session.print_image_sizes();
    session.first_requests()?;
    session.warm_up()?;
    session.measure()?;
    session.prove_image()?;
    Ok(session.finish())
}

struct Session {
    plan: Plan,
    model: String,
    models: Vec<String>,
    reach: Reach,
    asker: Asker,
    workload: Workload,
    header: Header,
    recorder: Recorder,
    records: Vec<RequestRecord>,
    store: Option<Store>,
    extras: Extras,
    view: View,
    stop: StopSignal,
    next_index: u64,
    proof: Option<ImageProof>,
    wall_minus_monotonic_ns: i64,
    cpu_ns_before: u64,
    /// Holds the kernel's stamping on for the whole run.
    _stamping: Option<std::net::UdpSocket>,
}

impl Session {
    fn prepare(plan: Plan, access: Access, output: &Output, stop: StopSignal, lang: Lang) -> Result<Self, Failure> {
        let view = View::new(lang);
        let (kernel_stamps, stamping) = kernel_stamps_work();
        let tls = access.target.is_tls().then(|| client_config(&access.tls)).transpose().map_err(Failure::usage)?;
        let reach = Reach {
            target: access.target,
            tls,
            connect_limit: plan.connect_limit(),
            path: plan.path.clone(),
            headers: access.headers,
            limits: plan.limits(),
        };
        check_tokenizer_path(&plan)?;
        let spec = Spec { tokenizer: plan.tokenizer.clone(), model: plan.model_folder.clone(), ..Spec::default() };
        let tokenizer = if needs_tokenizer(&plan) {
            let found = resolve(&spec, &Env::from_process());
            found.map_err(|error| Failure::usage(error.text(lang == Lang::Zh)))?
        } else {
            None
        };
        let asker = Asker::new(reach.clone()).map_err(|error| Failure::server(error.to_string()))?;
        let nonce = stamp::unix_ns();
        let make = |model: &str| {
            Workload::new(&plan, model, tokenizer.as_ref(), nonce)
                .map_err(|error| Failure::usage(workload_text(&error, lang)))
        };
        // Whatever is wrong with the command line is said before anything is sent; only a missing model name has to be
        // asked for first.
        let known = plan.model.clone();
        let early = known.as_deref().map(make).transpose()?;
        survey::raise_open_files(connections_needed(&plan), plan.max_concurrency.is_none())
            .map(|raised| {
                if let Some(limit) = raised {
                    view.say(lang.pick(
                        format!("open files: limit raised to {limit}"),
                        format!("打开文件数上限已提高到 {limit}"),
                    ));
                }
            })
            .map_err(Failure::usage)?;
        let mut facts =
            asker.server_facts(known.as_deref().unwrap_or_default(), &stop).map_err(|error| match error {
                FetchError::Stopped => {
                    Failure { status: stop_status(stop.cause()), text: "stopped before anything was sent".into() }
                }
                other => no_server(&other.to_string(), &plan, lang),
            })?;
        let models = model_ids(facts.models.as_ref());
        let model = match known {
            Some(model) => model,
            None => the_only_model(&models, &view)?,
        };
        facts.model.clone_from(&model);
        let workload = early.map_or_else(|| make(&model), Ok)?;
        let origin = stamp::now_ns();
        let offset = stamp::wall_minus_monotonic_ns();
        let stamp = jiff::Timestamp::now();
        let header = Header {
            schema: SCHEMA_VERSION,
            tool: concat!("vlm-benchmark ", env!("CARGO_PKG_VERSION")).into(),
            started: stamp.to_string(),
            label: output.label.clone(),
            card: output.card.clone(),
            driver: output.driver.clone(),
            plan: serde_json::to_value(&plan).unwrap_or_default(),
            ignore_eos: plan.ignore_eos,
            detail: plan.detail,
            server: facts,
            client: client_facts(kernel_stamps),
            clocks: Clocks { origin_monotonic_ns: origin, origin_unix_ns: origin.saturating_add_signed(offset) },
            expected_image_tokens: expected_image_tokens(&plan, &workload),
            images: workload.images.clone(),
            prompts: workload.prompt_facts(),
        };
        let file_stamp = stamp.strftime("%Y%m%d-%H%M%S").to_string();
        let store = open_store(output, &header, &file_stamp, &view)?;
        let date = output.extras.save_result.then_some(file_stamp);
        Ok(Self {
            recorder: Recorder::new(origin, plan.detail == Detail::Text || (plan.cold && !plan.ignore_eos)),
            extras: Extras { bom: output.extras.bom, vllm_date: date },
            plan,
            model,
            models,
            reach,
            asker,
            workload,
            header,
            records: Vec::new(),
            store,
            view,
            stop,
            next_index: 0,
            proof: None,
            wall_minus_monotonic_ns: offset,
            cpu_ns_before: stamp::cpu_ns(),
            _stamping: stamping,
        })
    }

    fn lang(&self) -> Lang {
        self.view.lang()
    }

    /// One line for each image of the first request, as the script prints it: the size as stored. A folder's images
    /// print theirs with their answers.
    fn print_image_sizes(&self) {
        let folder = matches!(self.plan.images, ImageSource::Folder { .. }) && !self.plan.ignore_eos;
        for image in self.workload.measured.first().into_iter().flat_map(|item| &item.images) {
            if let (Some(facts), false) = (self.workload.images.get(*image as usize), folder) {
                print_out(&format!("image size:  ({}, {})\n", facts.width, facts.height));
            }
        }
        for name in &self.workload.truncated {
            let caution = measure::Caution::ImageTruncated { name: name.clone() };
            self.view.say(format!("{}: {}", self.lang().pick("caution", "注意"), caution.text(self.lang())));
        }
    }

    /// The request before the load: its answer is the accuracy run's. One for each image of a folder.
    fn first_requests(&mut self) -> Result<(), Failure> {
        if self.plan.cold {
            return Ok(());
        }
        let phase = if self.plan.ignore_eos { Phase::Preliminary } else { Phase::Accuracy };
        let items = Arc::clone(&self.workload.accuracy);
        let from = self.records.len();
        let count = items.len() as u64;
        self.round(self.job(phase, items, 0, 0, Some(count), Some(1)))?;
        if self.stop.cause().is_some() {
            return Ok(());
        }
        let first: Vec<RequestRecord> = self.records[from..].to_vec();
        if first.iter().all(|record| record.outcome != Outcome::Complete) {
            let record = first.first();
            let words = record.map(|record| record.outcome.cause()).unwrap_or_default();
            let name = record.map(|record| record.outcome.name()).unwrap_or_default();
            let hint = record.and_then(|record| hints::hint(record, &self.plan, &self.models, self.lang()));
            self.end_early(&words);
            let text = self.lang().pick(
                format!("the first request failed ({name}): {words}"),
                format!("第一个请求失败（{name}）：{words}"),
            );
            return Err(Failure::server(with_hint(text, hint)));
        }
        if phase == Phase::Accuracy {
            self.print_answers(&first);
        }
        Ok(())
    }

    /// The run cannot go on: what there is of it is in order on the disk.
    fn end_early(&mut self, why: &str) {
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

    fn print_answers(&self, records: &[RequestRecord]) {
        let folder = matches!(self.plan.images, ImageSource::Folder { .. });
        for (number, record) in records.iter().enumerate() {
            if folder {
                let image = record.images.first().and_then(|image| self.workload.images.get(*image as usize));
                let Some(image) = image else { continue };
                print_out(&format!(
                    "Processing: {}/{}\nImage : {}\nimage size:  ({}, {})\n",
                    number + 1,
                    records.len(),
                    image.name,
                    image.width,
                    image.height
                ));
            }
            if record.outcome == Outcome::Complete {
                print_out(&format!("输出结果： {}\n", record.text.as_deref().unwrap_or_default()));
            } else {
                self.view.say(format!("{}: {}", record.outcome.name(), record.outcome.cause()));
            }
        }
    }

    fn warm_up(&mut self) -> Result<(), Failure> {
        for round in 0..self.plan.warmup {
            let items = Arc::clone(&self.workload.warmup);
            let first = self.item_first(round);
            let job = self.job(Phase::Warmup, items, first, round, self.plan.requests, self.plan.max_concurrency);
            self.round(self.scheduled(job, u64::from(round) ^ 0x5757))?;
        }
        Ok(())
    }

    fn measure(&mut self) -> Result<(), Failure> {
        self.profile("/start_profile");
        for round in 0..self.plan.rounds {
            let items = Arc::clone(&self.workload.measured);
            let first = self.item_first(round);
            let job = self.job(Phase::Measured, items, first, round, self.plan.requests, self.plan.max_concurrency);
            self.round(self.scheduled(job, u64::from(round)))?;
        }
        self.profile("/stop_profile");
        if self.prints_a_measured_answer() {
            let answer = self.records.iter().find(|r| r.phase == Phase::Measured && r.outcome == Outcome::Complete);
            if let Some(text) = answer.and_then(|record| record.text.as_deref()) {
                print_out(&format!("输出结果： {text}\n"));
            }
        }
        Ok(())
    }

    /// Rounds go on through the list of requests where the one before stopped.
    fn item_first(&self, round: u32) -> usize {
        (self.plan.requests.unwrap_or(0).wrapping_mul(u64::from(round))) as usize
    }

    fn profile(&self, path: &str) {
        if self.plan.profile
            && let Err(why) = self.asker.profile(path)
        {
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
            offsets_ns: None,
            cap,
            over_cap: self.plan.over_cap,
            duration: None,
        }
    }

    /// The load's own schedule and duration.
    fn scheduled(&self, mut job: Job, stream: u64) -> Job {
        if let (Schedule::OpenLoop { arrivals }, Some(rate)) = (self.plan.schedule, self.plan.request_rate) {
            let seed = self.plan.seed.wrapping_add(stream.wrapping_mul(0x9e37_79b9));
            job.offsets_ns = Some(Box::new(arrival::offsets_ns(arrivals, rate, self.plan.burstiness, seed)));
        }
        job.duration = self.plan.duration_s.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        job
    }

    /// Runs one round to its end, recording as requests end.
    fn round(&mut self, job: Job) -> Result<(), Failure> {
        let title = match job.phase {
            Phase::Accuracy | Phase::Preliminary => self.lang().pick("first request", "首个请求"),
            Phase::Warmup => self.lang().pick("warm-up", "预热"),
            Phase::Measured => self.lang().pick("measuring", "测量"),
            Phase::Proof => self.lang().pick("image proof", "图像验证"),
        };
        let items = Arc::clone(&job.items);
        self.view.begin(title, job.requests);
        let running = driver::start(job, self.reach.clone(), self.stop.clone())
            .map_err(|error| Failure::server(error.to_string()))?;
        let mut no_server_error: Option<ConnectError> = None;
        loop {
            match running.events.recv_timeout(Duration::from_millis(250)) {
                Ok(RunEvent::Finished) | Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Ok(RunEvent::NoServer(error)) => no_server_error = Some(error),
                Ok(RunEvent::Started | RunEvent::FirstToken) => {}
                Ok(RunEvent::Sent) => self.view.sent(),
                Ok(RunEvent::Segment(index, segment)) => self.recorder.segment(index, &segment),
                Ok(RunEvent::Ended(ended)) => {
                    let was_sent = ended.end.is_ok();
                    self.next_index = self.next_index.max(ended.planned.index + 1);
                    let record = self.recorder.ended(*ended, &items);
                    self.view.ended(&record.outcome, was_sent);
                    self.keep(record);
                }
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            }
            self.flush();
        }
        running.join();
        self.view.finish();
        match no_server_error {
            Some(error) => {
                self.end_early(&error.to_string());
                Err(no_server(&error.to_string(), &self.plan, self.lang()))
            }
            None => Ok(()),
        }
    }

    /// A record goes to the disk and stays in memory, with its answer only where that is printed, counted or asked for.
    fn keep(&mut self, mut record: RequestRecord) {
        let unbilled = record.usage.and_then(|usage| usage.completion).is_none();
        let printed = self.prints_a_measured_answer()
            && record.outcome == Outcome::Complete
            && !self.records.iter().any(|kept| kept.phase == Phase::Measured && kept.text.is_some());
        if record.phase == Phase::Measured && !unbilled && !printed && self.plan.detail != Detail::Text {
            record.text = None;
            record.reasoning = None;
        }
        let result = self.store.as_mut().map(|store| store.record(&record));
        self.report_store(result);
        self.records.push(record);
    }

    /// A cold run sends nothing before its measured requests: the answer printed is one of theirs.
    fn prints_a_measured_answer(&self) -> bool {
        self.plan.cold && !self.plan.ignore_eos
    }

    fn flush(&mut self) {
        let result = self.store.as_mut().map(Store::tick);
        self.report_store(result);
    }

    /// A disk that refuses ends the writing, not the run: the records are in memory.
    fn report_store(&mut self, result: Option<Result<(), crate::store::StoreError>>) {
        if let Some(Err(error)) = result {
            self.view.say(self.lang().pick(
                format!("caution: the run goes on without its files: {error}"),
                format!("注意：无法写文件，测试继续：{error}"),
            ));
            self.store = None;
        }
    }

    fn prove_image(&mut self) -> Result<(), Failure> {
        if !self.plan.image_proof || self.stop.cause().is_some() {
            return Ok(());
        }
        let Some(item) = self.workload.measured.first().cloned() else { return Ok(()) };
        let pictures: Vec<_> =
            item.images.iter().filter_map(|image| self.workload.pictures.get(*image as usize).cloned()).collect();
        let prompt = self.workload.prompts.get(item.prompt as usize).cloned().unwrap_or_default();
        let expected = (item.images.iter())
            .map(|image| self.header.expected_image_tokens.get(*image as usize).copied().flatten())
            .reduce(|sum, each| Some(sum? + each?))
            .flatten();
        for with_logprobs in [true, false] {
            let items = proof::questions(&self.plan, &self.model, &prompt, &pictures, with_logprobs)
                .map_err(|error| Failure::usage(error.text(self.lang() == Lang::Zh)))?;
            let from = self.records.len();
            let count = items.len() as u64;
            self.round(self.job(Phase::Proof, items, 0, 0, Some(count), Some(1)))?;
            let answers = &self.records[from..];
            let refused = answers.iter().any(|record| matches!(record.status, Some(400 | 422)));
            if with_logprobs && refused {
                self.view.say(self.lang().pick(
                    "image proof: the server refuses logprobs; asking again without",
                    "图像验证：服务端不支持 logprobs，改为不使用",
                ));
                continue;
            }
            let proof = proof::judge(answers, pictures.len() as u64, expected);
            if proof.verdict == measure::ProofVerdict::Seen {
                let beyond = proof.with_image.zip(proof.without_image).map_or(0, |(with, without)| with - without);
                self.view.say(self.lang().pick(
                    format!("image proof: SEEN: {beyond} tokens billed for the image, and another picture changes the answer"),
                    format!("图像验证：已看到图像：图像计费 {beyond} 个 token，换一张图答案会变"),
                ));
            }
            self.proof = Some(proof);
            break;
        }
        Ok(())
    }

    fn how(&self) -> Summarise {
        Summarise { definitions: self.plan.definitions, clock: self.plan.clock, goodput: self.plan.goodput.clone() }
    }

    /// Counts what is left to count, prints the block and the rest, writes the files; the exit status.
    fn finish(mut self) -> u8 {
        let cpu_ns = stamp::cpu_ns().saturating_sub(self.cpu_ns_before);
        let step = stamp::wall_minus_monotonic_ns() - self.wall_minus_monotonic_ns;
        let spec =
            Spec { tokenizer: self.plan.tokenizer.clone(), model: self.plan.model_folder.clone(), ..Spec::default() };
        let (counter, error) = Counter::find(&spec, &self.asker, &self.model);
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
        for hint in failure_hints(&log, &self.plan, &self.models, self.view.lang()) {
            self.view.say(hint);
        }
        if let Some(store) = &mut self.store {
            let files = self.view.lang().pick("files", "文件");
            match store.finish(&footer, &log, &summary, &how, &self.extras) {
                Ok(()) => self.view.say(format!("{files}: {}", store.folder().display())),
                Err(error) => self.view.say(error.to_string()),
            }
        }
        exit_status(&summary, self.stop.cause())
    }
}

/// 130/143, 1, 3 in this order; 0 when all is well.
fn exit_status(summary: &RunSummary, stopped: Option<&str>) -> u8 {
    match stopped {
        Some(_) => stop_status(stopped),
        None if summary.counts.complete == 0 => 1,
        None if summary.counts.failed > 0 => 3,
        None => 0,
    }
}

/// The status of a run that a signal ended.
fn stop_status(cause: Option<&str>) -> u8 {
    if cause == Some("SIGTERM") { 143 } else { 130 }
}

/// One hint for each kind of failure among the measured requests.
fn failure_hints(log: &RunLog, plan: &Plan, models: &[String], lang: Lang) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    for record in log.records.iter().filter(|record| record.phase == Phase::Measured) {
        if let Some(text) = hints::hint(record, plan, models, lang) {
            let line = format!("{}: {text}", lang.pick("hint", "提示"));
            if !hints.contains(&line) {
                hints.push(line);
            }
        }
    }
    hints
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

fn no_server(why: &str, plan: &Plan, lang: Lang) -> Failure {
    Failure::server(with_hint(why.to_owned(), Some(hints::no_server(&plan.url, lang))))
}

/// Without a name given, a server with one model needs none.
fn the_only_model(models: &[String], view: &View) -> Result<String, Failure> {
    match models {
        [model] => {
            view.say(
                view.lang().pick(
                    format!("model: {model} (the server's only one)"),
                    format!("模型：{model}（服务端唯一的模型）"),
                ),
            );
            Ok(model.clone())
        }
        [] => Err(Failure::usage(
            "no --model was given, and the server does not say which it has (GET /v1/models): give --model or --served-model-name",
        )),
        several => Err(Failure::usage(format!(
            "no --model was given, and the server has several: {}; choose one by --served-model-name",
            several.join(", ")
        ))),
    }
}

fn workload_text(error: &crate::workload::WorkloadError, lang: Lang) -> String {
    use crate::workload::WorkloadError;
    match error {
        WorkloadError::Image(error) => error.text(lang == Lang::Zh),
        WorkloadError::Tokens(error) => error.text(lang == Lang::Zh),
        other => other.to_string(),
    }
}

/// A tokenizer named as a path must be there before anything is sent; it is loaded after the last request.
fn check_tokenizer_path(plan: &Plan) -> Result<(), Failure> {
    let Some(given) = &plan.tokenizer else { return Ok(()) };
    let is_path = given.starts_with(['/', '.', '~']) || given.matches('/').count() > 1;
    if is_path && !Path::new(given).exists() {
        return Err(Failure::usage(format!(
            "--tokenizer {given:?}: there is no such file or folder; a folder with tokenizer.json, a tokenizer.json or a hub id is expected"
        )));
    }
    Ok(())
}

fn connections_needed(plan: &Plan) -> u64 {
    match (plan.max_concurrency, plan.requests) {
        (Some(cap), Some(requests)) => requests.min(u64::from(cap)),
        (Some(cap), None) => u64::from(cap),
        // Without a cap as many as arrive: what the server leaves open is not known.
        (None, requests) => requests.unwrap_or(4096).min(4096),
    }
}

/// Image tokens by the settings in the model's folder, for each image as a server sees it.
fn expected_image_tokens(plan: &Plan, workload: &Workload) -> Vec<Option<u64>> {
    let folders = [plan.model_folder.as_deref(), plan.tokenizer.as_deref()];
    let settings = folders.into_iter().flatten().find_map(|folder| {
        let text = std::fs::read_to_string(Path::new(folder).join("preprocessor_config.json")).ok()?;
        let config = std::fs::read_to_string(Path::new(folder).join("config.json")).ok();
        let family = config.and_then(|config| Family::from_config_json(&config).ok());
        Preprocessor::from_json(&text, family).ok()
    });
    let tokens = |facts: &measure::image::ImageFacts| {
        let (width, height) = facts.turned_size();
        settings.as_ref()?.geometry(width, height).ok().map(|geometry| geometry.image_tokens)
    };
    workload.images.iter().map(tokens).collect()
}

fn open_store(output: &Output, header: &Header, stamp: &str, view: &View) -> Result<Option<Store>, Failure> {
    if output.no_save {
        return Ok(None);
    }
    if let Some(folder) = &output.folder {
        return Store::create(folder.clone(), header).map(Some).map_err(Failure::usage);
    }
    // A default place that cannot be used is no reason not to measure.
    match default_folder(stamp).and_then(|folder| Store::create(folder, header)) {
        Ok(store) => Ok(Some(store)),
        Err(error) => {
            view.say(
                view.lang()
                    .pick(format!("caution: the run is not saved: {error}"), format!("注意：不保存本次运行：{error}")),
            );
            Ok(None)
        }
    }
}
