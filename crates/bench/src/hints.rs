//! From a server's refusal to what the user can do about it.

use crate::plan::Plan;
use measure::{Lang, Outcome, RequestRecord};

/// A hint for a failed request, where there is one to give.
#[must_use]
pub fn hint(record: &RequestRecord, plan: &Plan, models: &[String], lang: Lang) -> Option<String> {
    match &record.outcome {
        Outcome::ConnectFailed { .. } => Some(no_server(&plan.url, lang)),
        Outcome::TimedOut { .. } => Some(lang.pick(
            "limits: --first-token-timeout, --idle-timeout, --total-timeout".into(),
            "时限参数：--first-token-timeout、--idle-timeout、--total-timeout".into(),
        )),
        Outcome::ServerError { message } => by_status(record.status?, message, record.body_bytes, plan, models, lang),
        _ => None,
    }
}

/// Nothing answers at the server's address.
#[must_use]
pub fn no_server(url: &str, lang: Lang) -> String {
    lang.pick(
        format!("is the server up, and are --host and --port (or --base-url) right? They say {url}; a vLLM that is still loading does not answer yet"),
        format!("服务端已经启动了吗？--host 与 --port（或 --base-url）是否正确？现在是 {url}；仍在加载模型的 vLLM 不会应答"),
    )
}

fn by_status(
    status: u16,
    message: &str,
    body_bytes: u64,
    plan: &Plan,
    models: &[String],
    lang: Lang,
) -> Option<String> {
    let lower = message.to_lowercase();
    match status {
        401 | 403 => Some(lang.pick(
            "the server wants a key: --api-key KEY, or OPENAI_API_KEY".into(),
            "服务端需要密钥：--api-key KEY，或环境变量 OPENAI_API_KEY".into(),
        )),
        404 if lower.contains("model") => Some(unknown_model(models, lang)),
        404 | 405 => Some(lang.pick(
            format!("nothing is served at {}: is --endpoint (and the path of --base-url) right?", plan.path),
            format!("{} 处没有服务：--endpoint（以及 --base-url 中的路径）是否正确？", plan.path),
        )),
        413 => Some(lang.pick(
            format!("the request has {body_bytes} bytes: use a smaller image, --resize WxH, or --image-as file-url"),
            format!("请求体有 {body_bytes} 字节：请使用较小的图片、--resize 宽x高 或 --image-as file-url"),
        )),
        429 => Some(lang.pick(
            "the server turns requests away: lower --batch_size, --max-concurrency or --request-rate".into(),
            "服务端拒绝过多请求：请降低 --batch_size、--max-concurrency 或 --request-rate".into(),
        )),
        400 | 422 => refused_field(&lower, plan, lang),
        _ => None,
    }
}

fn unknown_model(models: &[String], lang: Lang) -> String {
    if models.is_empty() {
        return lang.pick(
            "--served-model-name NAME gives the name that the server knows".into(),
            "用 --served-model-name 给出服务端的模型名".into(),
        );
    }
    let names = models.join(", ");
    lang.pick(
        format!("the server has: {names}; name it by --served-model-name"),
        format!("服务端的模型：{names}；用 --served-model-name 指定"),
    )
}

/// The field that the server's words name, and the flag that sends it.
fn refused_field(words: &str, plan: &Plan, lang: Lang) -> Option<String> {
    let fields: &[(&str, &str)] = &[
        ("max_completion_tokens", "--max-tokens-field max_tokens"),
        ("ignore_eos", "--ignore-eos"),
        ("continuous_usage_stats", "--continuous-usage"),
        ("stream_options", "--extra-body '{\"stream_options\": null}'"),
    ];
    // What follows from the request comes before what may only be a coincidence of words.
    let extra = plan.extra_body.keys().find(|name| words.contains(&name.to_lowercase()));
    if let Some(name) = extra {
        return Some(
            lang.pick(
                format!("the field {name:?} comes from --extra-body"),
                format!("字段 {name:?} 来自 --extra-body"),
            ),
        );
    }
    let context = ["context length", "maximum context", "max_model_len", "too long"];
    if context.iter().any(|part| words.contains(part)) {
        return Some(lang.pick(
            format!("prompt and answer together are too long: lower --output_len ({}), use a smaller image, or start the server with a larger --max-model-len", plan.output_len),
            format!("输入与输出合计过长：请减小 --output_len（{}）、使用较小的图片，或以更大的 --max-model-len 启动服务端", plan.output_len),
        ));
    }
    if let Some((field, flag)) = fields.iter().find(|(field, _)| words.contains(field)) {
        return Some(lang.pick(
            format!("the server refuses the field {field}; the flag for it: {flag}"),
            format!("服务端不接受字段 {field}；相关参数：{flag}"),
        ));
    }
    words.contains("max_tokens").then(|| {
        lang.pick(
            "the server refuses the field max_tokens or its value; flags for it: --output_len, --max-tokens-field max_completion_tokens".into(),
            "服务端不接受字段 max_tokens 或其值；相关参数：--output_len、--max-tokens-field max_completion_tokens".into(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use measure::Phase;

    fn check(status: u16, message: &str, part: &str) {
        let argv = ["vlm-benchmark", "--no-image", "--extra-body", "{\"top_k\":-5}"].map(std::ffi::OsString::from);
        let args = crate::cli::parse(argv, Lang::En).unwrap().run;
        let (plan, _) = Plan::new(&args).unwrap();
        let mut record = RequestRecord::planned(0, Phase::Measured);
        record.status = Some(status);
        record.body_bytes = 77;
        record.outcome = Outcome::ServerError { message: message.into() };
        for lang in [Lang::En, Lang::Zh] {
            let text = hint(&record, &plan, &["a".into(), "b".into()], lang).unwrap_or_default();
            assert!(text.contains(part), "{status} {message}: {text:?} lacks {part:?}");
        }
    }

    #[test]
    fn each_refusal_is_recognised() {
        check(401, "Unauthorized", "--api-key");
        check(404, "The model `x` does not exist.", "a, b");
        check(404, "Not Found", "--endpoint");
        check(413, "Request Entity Too Large", "77");
        check(429, "", "--request-rate");
        check(422, "Extra inputs are not permitted: max_completion_tokens", "--max-tokens-field max_tokens");
        check(400, "Unexpected keyword ignore_eos", "--ignore-eos");
        check(400, "top_k must be -1 or at least 1", "--extra-body");
        check(400, "This model's maximum context length is 16384 tokens.", "--output_len");
        check(400, "max_tokens must be at least 1", "--output_len");
    }
}
