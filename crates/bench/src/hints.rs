//! From a server's refusal to what the user can do about it.

use crate::net::FetchError;
use crate::plan::Plan;
use crate::survey::SurveyError;
use measure::{Lang, Outcome, RequestRecord};

mod phrases;

/// What a hint may draw on.
pub struct Known<'a> {
    /// What is done.
    pub plan: &'a Plan,
    /// The models the server has.
    pub models: &'a [String],
    /// The proxy on the way, without its credentials.
    pub proxy: Option<String>,
    /// Whether the server answered a request of this run.
    pub has_answered: bool,
    /// The user's language.
    pub lang: Lang,
}

/// A hint for a failed request, where there is one to give.
#[must_use]
pub fn hint(record: &RequestRecord, known: &Known<'_>) -> Option<String> {
    let lang = known.lang;
    match &record.outcome {
        Outcome::ConnectFailed { .. } if known.has_answered => Some(lang.pick(
            format!(
                "{} answered before in this run: the server has ended or been cut off since; its log tells why",
                known.plan.url
            ),
            format!("{} 在本次运行中曾经应答：服务端此后已退出或断开，原因见其日志", known.plan.url),
        )),
        Outcome::ConnectFailed { .. } => Some(no_connection(known.proxy.as_deref(), &known.plan.url, lang)),
        Outcome::TimedOut { .. } => Some(lang.pick(
            "limits: --first-token-timeout, --idle-timeout, --total-timeout".into(),
            "时限参数：--first-token-timeout、--idle-timeout、--total-timeout".into(),
        )),
        Outcome::ServerError { message } => {
            let status = record.status?;
            by_proxy(status, known.proxy.as_deref(), &known.plan.url, lang)
                .or_else(|| by_status(status, message, record.body_bytes, known))
        }
        _ => None,
    }
}

/// A hint for a run that could not begin.
#[must_use]
pub fn survey(error: &SurveyError, proxy: Option<String>, plan: &Plan, lang: Lang) -> Option<String> {
    match error {
        SurveyError::Refused { status: 401 | 403, .. } => Some(wants_key(proxy.as_deref(), plan, lang)),
        SurveyError::Refused { status, .. } => by_proxy(*status, proxy.as_deref(), &plan.url, lang),
        SurveyError::Fetch(FetchError::Connect(error)) => Some(no_connection(error.proxy(), &plan.url, lang)),
        SurveyError::Fetch(FetchError::Silent { .. }) => Some(lang.pick(
            format!("is it still loading or overloaded, or does something else listen at {}? With --served-model-name NAME a run needs no such answer", plan.url),
            format!("它是否仍在加载或过载，或者 {} 处运行的是别的程序？给出 --served-model-name 名称 则不需要这个回答", plan.url),
        )),
        SurveyError::Fetch(FetchError::Exchange { .. }) => Some(lang.pick(
            format!("is {} an HTTP server of the OpenAI protocol, and http or https as it should be?", plan.url),
            format!("{} 是否为 OpenAI 协议的 HTTP 服务端？http 与 https 是否正确？", plan.url),
        )),
        SurveyError::Fetch(FetchError::Stopped) => None,
    }
}

/// Nothing answers at the server's address, or at its proxy's.
#[must_use]
pub fn no_connection(proxy: Option<&str>, url: &str, lang: Lang) -> String {
    match proxy {
        Some(proxy) => lang.pick(
            format!("requests to {url} go through the proxy {proxy} (http_proxy, https_proxy or all_proxy): is it up? NO_PROXY=HOST goes around it"),
            format!("到 {url} 的请求经过代理 {proxy}（http_proxy、https_proxy 或 all_proxy）：它是否可用？用 NO_PROXY=主机 可以绕过它"),
        ),
        None => lang.pick(
            format!("is the server up, and are --host and --port (or --base-url) right? They say {url}; a vLLM that is still loading does not answer yet; without any server, --embedded brings a small one"),
            format!("服务端已经启动了吗？--host 与 --port（或 --base-url）是否正确？现在是 {url}；仍在加载模型的 vLLM 不会应答；没有服务端时，--embedded 自带一个小模型"),
        ),
    }
}

/// Statuses by which proxies refuse or fail; without a proxy on the way they are the server's own.
fn by_proxy(status: u16, proxy: Option<&str>, url: &str, lang: Lang) -> Option<String> {
    let proxy = proxy?;
    match status {
        407 => Some(lang.pick(
            format!("the proxy {proxy} wants credentials: http_proxy=http://USER:PASSWORD@{proxy}; or NO_PROXY=HOST goes around it"),
            format!("代理 {proxy} 需要用户名和密码：http_proxy=http://用户:密码@{proxy}；或用 NO_PROXY=主机 绕过它"),
        )),
        502..=504 => Some(lang.pick(
            format!("this may be the answer of the proxy {proxy}, not of {url}: NO_PROXY=HOST goes around it"),
            format!("这可能是代理 {proxy} 的回答，而不是 {url} 的：用 NO_PROXY=主机 可以绕过它"),
        )),
        _ => None,
    }
}

fn wants_key(proxy: Option<&str>, plan: &Plan, lang: Lang) -> String {
    let key = match plan.has_api_key {
        true => lang.pick(
            "the key given by --api-key or OPENAI_API_KEY is refused",
            "--api-key 或 OPENAI_API_KEY 给出的密钥被拒绝",
        ),
        false => lang.pick(
            "the server wants a key: --api-key KEY, or OPENAI_API_KEY",
            "服务端需要密钥：--api-key KEY，或环境变量 OPENAI_API_KEY",
        ),
    };
    match proxy {
        Some(proxy) => lang.pick(
            format!("{key}; or it is the proxy {proxy} that refuses: NO_PROXY=HOST goes around it"),
            format!("{key}；也可能是代理 {proxy} 拒绝：用 NO_PROXY=主机 可以绕过它"),
        ),
        None => key.into(),
    }
}

fn by_status(status: u16, message: &str, body_bytes: u64, known: &Known<'_>) -> Option<String> {
    let (plan, lang) = (known.plan, known.lang);
    let lower = message.to_lowercase();
    match status {
        401 | 403 => Some(wants_key(known.proxy.as_deref(), plan, lang)),
        404 if phrases::unknown_model(&lower) => Some(unknown_model(known.models, lang)),
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
    let extra = plan.extra_body.keys().find(|name| phrases::refuses(words, &name.to_lowercase()));
    if let Some(name) = extra {
        return Some(
            lang.pick(
                format!("the field {name:?} comes from --extra-body"),
                format!("字段 {name:?} 来自 --extra-body"),
            ),
        );
    }
    if phrases::too_long(words) {
        return Some(lang.pick(
            format!("prompt and answer together are too long: shorten the prompt, lower --output_len ({}), use a smaller image, or start the server with a larger --max-model-len", plan.output_len),
            format!("输入与输出合计过长：请缩短提示、减小 --output_len（{}）、使用较小的图片，或以更大的 --max-model-len 启动服务端", plan.output_len),
        ));
    }
    if let Some((field, flag)) = fields.iter().find(|(field, _)| phrases::refuses(words, field)) {
        return Some(lang.pick(
            format!("the server refuses the field {field}; the flag for it: {flag}"),
            format!("服务端不接受字段 {field}；相关参数：{flag}"),
        ));
    }
    phrases::refuses(words, "max_tokens").then(|| {
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

    /// The hint holds this; an empty part means that there is none.
    fn check(status: u16, message: &str, part: &str) {
        check_through(None, status, message, part);
    }

    fn check_through(proxy: Option<&str>, status: u16, message: &str, part: &str) {
        let argv = ["vlm-benchmark", "--no-image", "--extra-body", "{\"top_k\":-5}"].map(std::ffi::OsString::from);
        let args = crate::cli::parse(argv, Lang::En).unwrap().run;
        let (plan, _) = Plan::new(&args).unwrap();
        let mut record = RequestRecord::planned(0, Phase::Measured);
        record.status = Some(status);
        record.body_bytes = 77;
        record.outcome = Outcome::ServerError { message: message.into() };
        for lang in [Lang::En, Lang::Zh] {
            let models = ["a".into(), "b".into()];
            let proxy = proxy.map(str::to_owned);
            let known = Known { plan: &plan, models: &models, proxy, has_answered: false, lang };
            let text = hint(&record, &known).unwrap_or_default();
            assert!(text.contains(part), "{status} {message}: {text:?} lacks {part:?}");
            assert_eq!(text.is_empty(), part.is_empty(), "{status} {message}: {text:?}");
        }
    }

    #[test]
    fn a_server_that_answered_before_was_up() {
        let (plan, _) =
            Plan::new(&crate::cli::parse(["vlm-benchmark".into(), "--no-image".into()], Lang::En).unwrap().run)
                .unwrap();
        let mut record = RequestRecord::planned(0, Phase::Measured);
        record.outcome = Outcome::ConnectFailed { message: "refused".into() };
        let text = |has_answered: bool| {
            hint(&record, &Known { plan: &plan, models: &[], proxy: None, has_answered, lang: Lang::En }).unwrap()
        };
        assert!(text(false).contains("is the server up"));
        assert!(text(true).contains("answered before in this run"));
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

    #[test]
    fn a_word_that_is_merely_there_is_no_refusal() {
        let echo = "Field required: messages; input: {\"model\": \"m\", \"max_tokens\": 512, \"ignore_eos\": true, \"top_k\": -5}";
        check(400, echo, "");
        check(422, echo, "");
        check(400, "the image's name is too long", "");
        check(404, "no route for /models/chat", "--endpoint");
        check(500, "max_tokens must be at least 1", "");
    }

    #[test]
    fn what_a_proxy_may_have_said() {
        check_through(Some("p:1"), 407, "Proxy Authentication Required", "@p:1");
        check_through(Some("p:1"), 503, "Service Unavailable", "NO_PROXY");
        check_through(Some("p:1"), 403, "Forbidden", "p:1");
        check(503, "Service Unavailable", "");
    }
}
