//! From the plan to a session that can send: whatever can be found wrong without sending is found here.

use super::records::Records;
use super::{Failure, Output, Session, no_server, with_hint};
use crate::counting::Asked;
use crate::driver::{Reach, RunIds};
use crate::hints;
use crate::net::{FetchError, client_config, kernel_stamps_work};
use crate::plan::{Access, Plan, PromptSource};
use crate::recorder::Recorder;
use crate::stop::{StopSignal, stop_status};
use crate::store::{Extras, Store, default_folder};
use crate::survey::{self, Asker, SurveyError, client_facts, model_ids};
use crate::tokens::{Env, Loaded, resolve};
use crate::usage::Usage;
use crate::view::View;
use crate::workload::{Draft, Workload, needs_tokenizer};
use geometry::{Family, Preprocessor};
use measure::{Clocks, Detail, Header, Lang, RunName, SCHEMA_VERSION, ServerFacts};
use std::path::Path;

/// Looks at every file that a run of this plan would read, without a server.
///
/// # Errors
/// [`Failure`] with status 2.
pub fn check_files(plan: &Plan, access: &Access, lang: Lang) -> Result<(), Failure> {
    check_authorities(access, lang)?;
    check_tokenizer_path(plan, lang)?;
    let mut plan = plan.clone();
    if needs_tokenizer(&plan) {
        // Made-up prompts need no file; a tokenizer might have to be fetched.
        plan.prompts = PromptSource::Text(String::new());
    }
    Draft::new(&plan, None, 0).map(|_| ()).map_err(|error| Failure::usage(error.text(lang)))
}

/// Reads every file of a run and makes what is sent, but for the model's name. Done once, so that a file may be a pipe;
/// whatever is wrong with the command line is said here, before a server is started or asked.
///
/// # Errors
/// [`Failure`] with status 2.
pub fn read_files(plan: &Plan, access: &Access, lang: Lang) -> Result<Draft, Failure> {
    check_authorities(access, lang)?;
    check_tokenizer_path(plan, lang)?;
    let tokenizer = tokenizer(plan, lang)?;
    Draft::new(plan, tokenizer.as_ref(), stamp::unix_ns()).map_err(|error| Failure::usage(error.text(lang)))
}

/// Looks at `--cacert`, even where no connection would ask for it.
fn check_authorities(access: &Access, lang: Lang) -> Result<(), Failure> {
    match &access.tls.cacert {
        Some(_) => client_config(&access.tls).map(|_| ()).map_err(|error| Failure::usage(error.text(lang))),
        None => Ok(()),
    }
}

impl Session {
    /// Everything else before the first request: bodies, the server's facts, the run's folder.
    pub(super) fn prepare(
        plan: Plan,
        access: Access,
        draft: Draft,
        output: &Output,
        stop: StopSignal,
        lang: Lang,
    ) -> Result<Self, Failure> {
        let view = View::new(lang);
        let (kernel_stamps, stamping) = kernel_stamps_work();
        let reach = reach(&plan, access, lang)?;
        let asker = Asker::new(reach.clone()).map_err(|error| Failure::server(error.to_string()))?;
        raise_open_files(&plan, &view)?;
        let mut facts = server_facts(&asker, &plan, &stop, &view)?;
        let models = model_ids(facts.models.as_ref());
        let model = plan.model.clone().map_or_else(|| the_only_model(&models, &view), Ok)?;
        facts.model.clone_from(&model);
        let workload = draft.for_model(&model);
        let wall_minus_monotonic_ns = stamp::wall_minus_monotonic_ns();
        let started = jiff::Timestamp::now();
        let header = header(&plan, output, facts, &workload, started, wall_minus_monotonic_ns, kernel_stamps);
        let file_stamp = started.strftime("%Y%m%d-%H%M%S").to_string();
        let store = open_store(output, &header, &file_stamp, &view)?;
        let log = store.as_ref().map_or(Ok(None), Store::reader).map_err(|error| Failure::usage(error.text(lang)))?;
        let records = Records::new(log);
        let keep_text = plan.detail == Detail::Text || (plan.cold && !plan.ignore_eos);
        Ok(Self {
            recorder: Recorder::new(header.clocks.origin_monotonic_ns, keep_text),
            extras: Extras { bom: output.extras.bom, vllm_date: output.extras.save_result.then_some(file_stamp) },
            plan,
            model,
            models,
            reach,
            asker,
            workload,
            header,
            records,
            printed: None,
            store,
            view,
            stop,
            next_index: 0,
            proof: None,
            asked: Asked::default(),
            server_times: Vec::new(),
            server_times_at_start: None,
            wall_minus_monotonic_ns,
            usage_before: Usage::now(),
            load_cpu_ns: None,
            _stamping: stamping,
        })
    }
}

fn reach(plan: &Plan, access: Access, lang: Lang) -> Result<Reach, Failure> {
    let tls = access.target.is_tls().then(|| client_config(&access.tls)).transpose();
    let tls = tls.map_err(|error| Failure::usage(error.text(lang)))?;
    Ok(Reach {
        target: access.target,
        tls,
        connect_limit: plan.connect_limit(),
        path: access.path,
        headers: access.headers,
        limits: plan.limits(),
        ids: RunIds::new(),
    })
}

/// Loaded before the clock only where prompts are made of its tokens.
fn tokenizer(plan: &Plan, lang: Lang) -> Result<Option<Loaded>, Failure> {
    if !needs_tokenizer(plan) {
        return Ok(None);
    }
    resolve(&plan.tokenizer_spec(), &Env::from_process()).map_err(|error| Failure::usage(error.text(lang == Lang::Zh)))
}

fn raise_open_files(plan: &Plan, view: &View) -> Result<(), Failure> {
    let raised = survey::raise_open_files(connections_needed(plan), plan.max_concurrency.is_none());
    if let Some(limit) = raised.map_err(|why| Failure::usage(why.text(view.lang()).to_owned()))? {
        let text = (format!("open files: limit raised to {limit}"), format!("打开文件数上限已提高到 {limit}"));
        view.say(view.lang().pick(text.0, text.1));
    }
    Ok(())
}

fn server_facts(asker: &Asker, plan: &Plan, stop: &StopSignal, view: &View) -> Result<ServerFacts, Failure> {
    let lang = view.lang();
    asker.server_facts(plan.model.as_deref(), stop, view).map_err(|error| match error {
        SurveyError::Fetch(FetchError::Stopped) => Failure {
            status: stop.cause().map_or(1, stop_status),
            text: lang.pick("stopped before anything was sent", "在发送任何请求之前中止").into(),
        },
        SurveyError::Fetch(FetchError::Connect(error)) => no_server(&error, plan, lang),
        other => Failure::server(with_hint(other.text(lang), hints::survey(&other, asker.proxy_name(), plan, lang))),
    })
}

fn header(
    plan: &Plan,
    output: &Output,
    server: ServerFacts,
    workload: &Workload,
    started: jiff::Timestamp,
    wall_minus_monotonic_ns: i64,
    kernel_stamps: bool,
) -> Header {
    let origin = stamp::now_ns();
    Header {
        schema: SCHEMA_VERSION,
        run: RunName {
            tool: crate::TOOL.into(),
            started: started.to_string(),
            label: output.label.clone(),
            card: output.card.clone(),
            driver: output.driver.clone(),
        },
        // A plan of our own types always has a JSON form.
        plan: serde_json::to_value(plan).unwrap_or_default(),
        ignore_eos: plan.ignore_eos,
        detail: plan.detail,
        server,
        client: client_facts(kernel_stamps),
        clocks: Clocks {
            origin_monotonic_ns: origin,
            origin_unix_ns: origin.saturating_add_signed(wall_minus_monotonic_ns),
        },
        expected_image_tokens: expected_image_tokens(plan, workload),
        images: workload.images.clone(),
        prompts: workload.prompt_facts(),
        expectations: workload.expectations.clone(),
    }
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
        [] => Err(Failure::usage(view.lang().pick(
            "no --model was given, and the server does not say which it has (GET /v1/models): give --model or --served-model-name",
            "未给出 --model，服务端也没有说明它有哪个模型（GET /v1/models）：请给出 --model 或 --served-model-name",
        ))),
        several => {
            let names = several.join(", ");
            Err(Failure::usage(view.lang().pick(
                format!("no --model was given, and the server has several: {names}; choose one by --served-model-name"),
                format!("未给出 --model，而服务端有多个模型：{names}；请用 --served-model-name 选择一个"),
            )))
        }
    }
}

/// A tokenizer named as a path must be there before anything is sent; it is loaded after the last request.
fn check_tokenizer_path(plan: &Plan, lang: Lang) -> Result<(), Failure> {
    let Some(given) = &plan.tokenizer else { return Ok(()) };
    let is_path = given.starts_with(['/', '.', '~']) || given.matches('/').count() > 1;
    if is_path && !Path::new(given).exists() {
        return Err(Failure::usage(lang.pick(
            format!("--tokenizer {given:?}: there is no such file or folder; a folder with tokenizer.json, a tokenizer.json or a hub id is expected"),
            format!("--tokenizer {given:?}：没有这个文件或目录；应为带 tokenizer.json 的目录、一个 tokenizer.json，或 hub 上的名称"),
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
        let store = Store::create(folder.clone(), header).map(Some);
        return store.map_err(|error| Failure::usage(error.text(view.lang())));
    }
    // A default place that cannot be used is no reason not to measure.
    match default_folder(stamp).and_then(|folder| Store::create(folder, header)) {
        Ok(store) => Ok(Some(store)),
        Err(error) => {
            let why = error.text(view.lang());
            view.say(
                view.lang()
                    .pick(format!("caution: the run is not saved: {why}"), format!("注意：不保存本次运行：{why}")),
            );
            Ok(None)
        }
    }
}
