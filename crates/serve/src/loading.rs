//! From a command line to a served model: the checkpoint's text side, its settings, its weights. Whatever is wrong with
//! them is said here, before the port opens; what is quick to check before what takes minutes.

mod folder;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

use engine::engine::{EngineConfig, ImageRules};
use engine::model::{BLOCK_TOKENS, Dtype, Instructions, KvCache, LoadOptions, ModelConfig, Progress, Qwen2Vl};
use engine::pixels::Normalisation;
use engine::prompt::PromptRules;
use engine::schedule::{Scheduler, SchedulerConfig};
use engine::stepper::ModelStepper;
use engine::text::{TextFiles, chat_template_of_flag};
use geometry::{Family, Preprocessor};

use crate::cli::{Args, EngineArgs};
use crate::engine_backend::{EngineBackend, ModelParts, ServeOptions, TextSide};
use crate::error::ServeError;

/// Loads the model of a command line and starts its engine.
pub(crate) fn backend(args: &Args, say: impl Fn(&str)) -> Result<EngineBackend, ServeError> {
    let name = args.model_name().ok_or(ServeError::NoModel)?;
    let folder = folder::checkpoint(name)?;
    let flags = &args.engine;
    if let Some(local) = flags.allowed_local_media_path.as_deref().filter(|local| !local.is_dir()) {
        let given = local.display().to_string();
        return Err(crate::cli::flag("--allowed-local-media-path", &given, "a folder that is there"));
    }
    let template = flags.chat_template.as_deref().map(chat_template_of_flag).transpose()?;
    let files = TextFiles::read(&folder, flags.tokenizer.as_deref())?;
    let text = TextSide::new(&files, template.as_deref(), flags.content_format(), flags.generation_config == "auto")?;
    let image_rules = image_rules(&folder, flags)?;
    let unknown = flags.unknown_processor_kwargs();
    if !unknown.is_empty() {
        say(&format!("--mm-processor-kwargs: without effect here, and ignored: {}", unknown.join(", ")));
    }
    let config = ModelConfig::load(&folder)?;
    fits(&text, &config, flags.tokenizer.as_deref().unwrap_or(&folder))?;
    let dtype = dtype(flags, &config);
    let scheduler = limits(flags, &config, dtype, &image_rules)?;
    // Built for its checks; the engine builds its own when the weights are there.
    Scheduler::new(scheduler).map_err(engine::engine::EngineError::from)?;
    let options = ServeOptions {
        names: if args.served_model_name.is_empty() { vec![name.to_owned()] } else { args.served_model_name.clone() },
        root: name.to_owned(),
        api_key: args.api_key.clone(),
        idle_close_ms: flags.http_timeout_keep_alive * 1000,
        engine: EngineConfig { scheduler, queue_max: flags.max_num_queued_reqs, seed: flags.seed },
        images_max: flags.images_max()?,
        local_media: flags.allowed_local_media_path.clone(),
        remote_media: flags.remote_media(),
        max_logprobs: flags.max_logprobs,
    };
    let model = load(&folder, flags, dtype, &say)?;
    let prompt_rules = PromptRules {
        image_token: config.image_token_id,
        merge_size: u32::try_from(config.vision.merge_size).unwrap_or(u32::MAX),
    };
    let vocab_size = u32::try_from(config.text.vocab_size).unwrap_or(u32::MAX);
    let stepper = Box::new(ModelStepper::new(model, scheduler.blocks as usize));
    EngineBackend::start(ModelParts { stepper, text, prompt_rules, image_rules, vocab_size }, &options)
}

/// Whether a tokenizer is the model's own: ids that the model has, and its mark of a picture. With another one every
/// request fails, or is answered with nonsense.
fn fits(text: &TextSide, config: &ModelConfig, tokenizer: &Path) -> Result<(), ServeError> {
    let refuse = |why| Err(ServeError::OtherTokenizer { folder: tokenizer.to_owned(), why });
    let (ids, vocab_size) = (text.vocabulary() as usize, config.text.vocab_size);
    if ids > vocab_size {
        return refuse(format!("it has ids up to {}, the model up to {}", ids - 1, vocab_size.saturating_sub(1)));
    }
    let (given, wanted) = (text.image_token(), config.image_token_id);
    if given != wanted {
        return refuse(format!("its <|image_pad|> is {given}, the model's image_token_id is {wanted}"));
    }
    Ok(())
}

/// The one place that knows how a model gets from its folder into memory.
fn load(folder: &Path, flags: &EngineArgs, dtype: Dtype, say: &impl Fn(&str)) -> Result<Qwen2Vl, ServeError> {
    let options = LoadOptions { dtype, threads: flags.threads, instructions: Instructions::Fastest };
    let begun = Instant::now();
    let mut bar = Bar { shown: None, is_terminal: std::io::stderr().is_terminal() };
    let model = Qwen2Vl::load(folder, &options, |progress| bar.show(progress))?;
    bar.end();
    say(&format!(
        "loaded {} in {:.1} s: {:.2} GiB of weights, {dtype:?}, {} threads, {}",
        folder.display(),
        begun.elapsed().as_secs_f64(),
        model.weight_bytes() as f64 / f64::from(1u32 << 30),
        model.threads(),
        model.instructions(),
    ));
    Ok(model)
}

fn dtype(flags: &EngineArgs, config: &ModelConfig) -> Dtype {
    match (flags.dtype.as_str(), config.stated_dtype.as_deref()) {
        ("float32" | "float", _) | ("auto", Some("float32")) => Dtype::Float32,
        _ => Dtype::BFloat16,
    }
}

fn image_rules(folder: &Path, flags: &EngineArgs) -> Result<ImageRules, ServeError> {
    let text = folder::image_settings(folder)?;
    let (least, most) = flags.pixel_limits()?;
    let preprocessor = Preprocessor::from_json(&text, Some(Family::Qwen2Vl))?.with_limits(least, most)?;
    Ok(ImageRules { preprocessor, normalisation: Normalisation::from_json(&text)? })
}

fn limits(
    flags: &EngineArgs,
    config: &ModelConfig,
    dtype: Dtype,
    images: &ImageRules,
) -> Result<SchedulerConfig, ServeError> {
    let longest = config.text.max_position_embeddings;
    let max_model_len = flags.max_model_len.unwrap_or(longest);
    if max_model_len > longest {
        return Err(ServeError::TooLong { given: max_model_len, longest });
    }
    let cache_bytes = flags.kv_cache_gib * f64::from(1u32 << 30);
    if !(cache_bytes > 0.0 && cache_bytes < 1e15) {
        let given = flags.kv_cache_gib.to_string();
        return Err(crate::cli::flag("--kv-cache-gib", &given, "a positive number of GiB that the machine has"));
    }
    let blocks = cache_bytes as u64 / KvCache::block_bytes(config, dtype).max(1);
    let side = u64::from(images.preprocessor.factor());
    let picture_tokens = images.preprocessor.max_pixels() / (side * side).max(1);
    Ok(SchedulerConfig {
        max_num_seqs: flags.max_num_seqs,
        max_num_batched_tokens: flags.max_num_batched_tokens,
        max_model_len,
        block_tokens: BLOCK_TOKENS,
        blocks: u32::try_from(blocks).unwrap_or(u32::MAX),
        prefix_caching: !flags.no_enable_prefix_caching,
        // As in vLLM: a step's tokens, or one picture if that is more.
        encoder_tokens: flags.max_num_batched_tokens.max(usize::try_from(picture_tokens).unwrap_or(usize::MAX)),
    })
}

/// How far the loading is, on a terminal only.
struct Bar {
    shown: Option<u64>,
    is_terminal: bool,
}

impl Bar {
    fn show(&mut self, progress: Progress) {
        let percent = progress.done_bytes * 100 / progress.total_bytes.max(1);
        if !self.is_terminal || self.shown == Some(percent) {
            return;
        }
        self.shown = Some(percent);
        let done = usize::try_from(percent / 4).unwrap_or(0).min(25);
        let bar = format!("\rloading weights [{:<25}] {percent:>3} %", "#".repeat(done));
        // Nobody can be told that stderr is gone.
        let _ = std::io::stderr().lock().write_all(bar.as_bytes());
    }

    fn end(&self) {
        if self.shown.is_some() {
            let _ = std::io::stderr().lock().write_all(b"\n");
        }
    }
}
