//! What a reader must know before trusting a figure: a closed list, each with its cause and a remedy.

use crate::lang::Lang;
use serde::{Deserialize, Serialize};

/// One caution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant's sentence in `text` says what it is and what its fields hold")]
pub enum Caution {
    Incomplete { by: Option<String>, planned: u64, ended: u64 },
    Survivors { complete: u64, failed: u64 },
    AnswersCutOff { answers: u64, of: u64 },
    FewRequests { n: u64 },
    WarmCache(WarmCache),
    OutputLength { asked: u64, different: u64, of: u64 },
    NoUsage { requests: u64, retokenised: bool },
    TextTokensUnknown,
    TextTokensNotCounted,
    EmptyEventsLeftOut { events: u64 },
    ManyEventsPerRead { share: f64 },
    ManyTokensPerEvent { mean: f64 },
    Degenerate { requests: u64, head: String },
    UsageBelowText { prompt: u64, text: u64 },
    ImageTokens { billed_beyond_text: u64, expected: u64 },
    ImageTurned { name: String, stored: (u32, u32), seen: (u32, u32) },
    ImageTruncated { name: String },
    CountsDiffer { server: u64, client: u64 },
    FewerImagesBilled { images: u64, expected: u64, billed_beyond_text: u64 },
    Proxy { proxy: String },
    WallClockStep { ns: i64 },
    KernelClockMissing { requests: u64, of: u64 },
    LateSends { p99_ms: f64 },
    NotSent { requests: u64 },
    Reopened { connections: u64 },
    ProofNotSeen,
    ProofUnexpectedSize { billed: u64, expected: u64 },
    ProofWithoutEffect { logprobs: bool },
    ProofUnknown { why: Unproved },
    OlderDefinitions,
    EventsLeftOut,
}

/// Why an image proof came to no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unproved {
    /// The picture cannot be decoded by the client, so there is no other one to ask with.
    NotDecoded,
    /// A question got no whole answer.
    Unanswered,
    /// The server does not say how many prompt tokens it billed.
    NoUsage,
    /// Two equal questions have different answers, and there are no log probabilities to tell more.
    Unsteady,
}

impl Unproved {
    fn text(self, lang: Lang) -> &'static str {
        match self {
            Self::NotDecoded => lang.pick(
                "the client cannot decode the picture, so it has no other one to ask with",
                "客户端无法解码该图片，因此没有另一张可供比较",
            ),
            Self::Unanswered => lang.pick(
                "a question got no whole answer; see the causes in requests.csv",
                "有问题没有得到完整回答；原因见 requests.csv",
            ),
            Self::NoUsage => lang.pick("the server sends no usage", "服务端没有给出 usage"),
            Self::Unsteady => lang.pick(
                "equal questions get different answers, and no log probabilities tell more",
                "相同问题的回答不同，且没有 logprob 可供判断",
            ),
        }
    }
}

/// How warm the server's caches were for the measured requests, and what the run can do about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WarmCache {
    /// Measured requests that were sent.
    pub requests: u64,
    /// Those whose prompt and images had been sent before, in whatever phase.
    pub repeated: u64,
    /// Whether they hold images, so that an image cache may answer too.
    pub images: bool,
    /// Whether the duration alone ends the run: what makes requests differ then needs a number of requests too.
    pub by_duration: bool,
    /// Prompt tokens that the server says it took from its cache; `None` where it does not tell.
    pub cached_tokens: Option<u64>,
    /// Prompt tokens of the requests for which it tells.
    pub prompt_tokens: Option<u64>,
}

impl Caution {
    /// Cause and remedy, one line.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        match lang {
            Lang::En => self.english(),
            Lang::Zh => self.chinese(),
        }
    }

    fn english(&self) -> String {
        match self {
            Self::Incomplete { by: Some(by), planned, ended: 0 } => format!("INCOMPLETE: the run was stopped by {by} before any request had ended ({planned} planned): there are no figures"),
            Self::Incomplete { by: Some(by), planned, ended } => format!("INCOMPLETE: the run was stopped by {by} after {ended} of {planned} requests; the figures are those of the requests that completed, and rates count only their tokens over the whole time"),
            Self::Incomplete { by: None, planned, ended } => format!("INCOMPLETE: the log has no end (a crash, kill -9, or the run is still going on): {ended} of {planned} requests are in it; the figures are theirs"),
            Self::Survivors { complete, failed } => format!("{failed} of {} requests failed: the figures are those of the {complete} that completed; look at their causes before comparing", complete + failed),
            Self::AnswersCutOff { answers, of } => format!("{answers} of {of} answer{} cut off at --output_len: what stood behind is missing, and counts as wrong where it was expected; raise --output_len", if *of == 1 { " was" } else { "s were" }),
            Self::FewRequests { n } => format!("n = {n}: mean, median and P99 of {n} request{} say little about the next one; use --num-prompts for more", if *n == 1 { "" } else { "s" }),
            Self::WarmCache(cache) => cache.english(),
            Self::OutputLength { asked, different, of } => format!("--ignore-eos asked for {asked} tokens, but {different} of {of} requests generated another number: does the server honour ignore_eos? Do not compare these figures at equal length"),
            Self::NoUsage { requests, retokenised: true } => format!("the server sent no usage for {requests} requests: their output tokens were counted by the client over the whole text"),
            Self::NoUsage { requests, retokenised: false } => format!("the server sent no usage for {requests} requests, and no tokenizer is at hand: their output tokens are unknown, so TPOT and token rates are n/a; give --tokenizer"),
            Self::TextTokensUnknown => "the tokens of the prompt's text are unknown (no tokenizer found, and the server has no /tokenize): Total input tokens and Total Token throughput are n/a; give --tokenizer FOLDER".into(),
            Self::TextTokensNotCounted => "text tokens are counted at the end, which this run did not reach: Total input tokens and Total Token throughput are n/a, and so are the tokens of answers that came without usage".into(),
            Self::EmptyEventsLeftOut { events } => format!("{events} empty events were not counted as tokens: with them there would be more token events than tokens billed"),
            Self::ManyEventsPerRead { share } => format!("{:.0} % of the token events came together with the one before: the server, a proxy or the network batches events, or the client read late, so single ITL values mean little; read TPOT", share * 100.0),
            Self::ManyTokensPerEvent { mean } => format!("an event brings {mean:.1} tokens on average: ITL (event) is not the time of a token; read TPOT or ITL (token)"),
            Self::Degenerate { requests, head } => format!("degenerate output in {requests} requests (one piece of text over and over, or log probabilities that are no numbers), beginning {head:?}: check dtype and the model's weights before using these figures"),
            Self::UsageBelowText { prompt, text } => format!("the server billed {prompt} prompt tokens, fewer than the {text} of the text alone: its count cannot be right, or the prompt was cut"),
            Self::ImageTokens { billed_beyond_text, expected } => format!("the server billed {billed_beyond_text} tokens beyond the text where the image alone should make {expected}: other pixel limits, another model, or the image did not reach the model; --image-proof tells"),
            Self::ImageTurned { name, stored, seen } => format!("{name}: its EXIF orientation turns the picture: stored {}×{}, a server that honours it sees {}×{}", stored.0, stored.1, seen.0, seen.1),
            Self::ImageTruncated { name } => format!("{name}: the file ends before its picture does; it is sent as it is"),
            Self::CountsDiffer { server, client } => format!("output tokens: the server billed {server}, the client counts {client} in the text"),
            Self::FewerImagesBilled { images, expected, billed_beyond_text } => format!("{images} images should make {expected} tokens, and the server billed {billed_beyond_text} beyond the text: it may have used only some of them"),
            Self::Proxy { proxy } => format!("requests went through the proxy {proxy}: its time is in every figure; set NO_PROXY to leave it out"),
            Self::WallClockStep { ns } => format!("the wall clock moved by {:.3} ms during the run: the kernel's times were not used", *ns as f64 / 1e6),
            Self::KernelClockMissing { requests, of } => format!("{requests} of {of} requests have events without the kernel's time: our own reads were used for them throughout"),
            Self::LateSends { p99_ms } => format!("the client sent late (P99 {p99_ms:.2} ms after it should have): it or the machine is overloaded; lower the rate or free a core"),
            Self::NotSent { requests } => format!("{requests} requests were never sent (see causes)"),
            Self::Reopened { connections } => format!("{connections} idle connections were opened anew before their requests; that time is in no figure"),
            Self::ProofNotSeen => "image proof: NOT SEEN: the server billed no tokens for the image; is this a vision model, and does the template keep the image?".into(),
            Self::ProofUnexpectedSize { billed, expected } => format!("image proof: UNEXPECTED SIZE: billed {billed} tokens for images that should make {expected} (+2 to 4 each): other pixel limits, or another preprocessor"),
            Self::ProofWithoutEffect { logprobs: true } => "image proof: BILLED, BUT WITHOUT EFFECT: another picture of the same size changed neither an answer nor its log probabilities".into(),
            Self::ProofWithoutEffect { logprobs: false } => "image proof: BILLED, BUT WITHOUT EFFECT: another picture of the same size changed no answer (the server gives no log probabilities)".into(),
            Self::ProofUnknown { why } => format!("image proof: UNKNOWN: {}", why.text(Lang::En)),
            Self::EventsLeftOut => "this run was recorded with --detail summary: latencies between tokens, the peak rate and goodput limits on those latencies cannot be computed from its file".into(),
            Self::OlderDefinitions => "figures by --definitions vllm: role and finish events count as tokens, so TTFT is early and the mean ITL too small; not comparable with the standard definitions".into(),
        }
    }

    fn chinese(&self) -> String {
        match self {
            Self::Incomplete { by: None, planned, ended } => format!("未完成：日志没有结尾（崩溃、kill -9，或测试仍在进行）：计划 {planned} 个请求，日志中只有 {ended} 个；以下数字仅代表这些请求"),
            Self::Incomplete { by: Some(by), planned, ended: 0 } => format!("未完成：测试被 {by} 中止，计划 {planned} 个请求，没有一个结束，因此没有数字"),
            Self::Incomplete { by: Some(by), planned, ended } => format!("未完成：测试被 {by} 中止，计划 {planned} 个请求只结束了 {ended} 个；以下数字仅代表已完成的请求，速率只按其 token 除以全部时间计算"),
            Self::Survivors { complete, failed } => format!("{} 个请求中有 {failed} 个失败：数字只代表成功的 {complete} 个；比较之前请先看失败原因", complete + failed),
            Self::AnswersCutOff { answers, of } => format!("{of} 个回答中有 {answers} 个在 --output_len 处被截断：其后的内容缺失，评分时按错误计；请增大 --output_len"),
            Self::FewRequests { n } => format!("n = {n}：{n} 个请求的均值、中位数和 P99 说明不了什么；用 --num-prompts 增加请求数"),
            Self::WarmCache(cache) => cache.chinese(),
            Self::OutputLength { asked, different, of } => format!("--ignore-eos 要求 {asked} 个 token，但 {of} 个请求中有 {different} 个长度不同：服务端是否支持 ignore_eos？不可按等长比较"),
            Self::NoUsage { requests, retokenised: true } => format!("服务端对 {requests} 个请求没有返回 usage：输出 token 数由客户端对完整文本统计"),
            Self::NoUsage { requests, retokenised: false } => format!("服务端对 {requests} 个请求没有返回 usage，也没有分词器：输出 token 数未知，TPOT 与吞吐为 n/a；请给出 --tokenizer"),
            Self::TextTokensUnknown => "提示文本的 token 数未知（没有找到分词器，服务端也没有 /tokenize）：Total input tokens 与 Total Token throughput 为 n/a；请给出 --tokenizer 目录".into(),
            Self::TextTokensNotCounted => "文本 token 在测试结束时统计，而本次运行没有到达结束：Total input tokens 与 Total Token throughput 为 n/a，没有 usage 的回答的 token 数也未知".into(),
            Self::EmptyEventsLeftOut { events } => format!("有 {events} 个空事件未计为 token：否则 token 事件会多于服务端计费的 token 数"),
            Self::ManyEventsPerRead { share } => format!("{:.0} % 的 token 事件与前一个同时到达：服务端、代理或网络合并了事件，或客户端读取较迟，单个 ITL 意义不大；请看 TPOT", share * 100.0),
            Self::ManyTokensPerEvent { mean } => format!("平均每个事件带来 {mean:.1} 个 token：ITL（按事件）不是单 token 时间；请看 TPOT 或 ITL（按 token）"),
            Self::Degenerate { requests, head } => format!("{requests} 个请求的输出异常（同一片段不断重复，或 logprob 不是数字），开头为 {head:?}：使用这些数字前请检查 dtype 和模型权重"),
            Self::UsageBelowText { prompt, text } => format!("服务端计费 {prompt} 个输入 token，少于文本本身的 {text} 个：计数有误，或提示被截断"),
            Self::ImageTokens { billed_beyond_text, expected } => format!("服务端在文本之外计费 {billed_beyond_text} 个 token，而图像本身应为 {expected} 个：像素上限不同、模型不同，或图像没有送到模型；用 --image-proof 判断"),
            Self::ImageTurned { name, stored, seen } => format!("{name}：EXIF 方向会旋转图片：存储为 {}×{}，遵循该标记的服务端看到 {}×{}", stored.0, stored.1, seen.0, seen.1),
            Self::ImageTruncated { name } => format!("{name}：文件不完整；按原样发送"),
            Self::CountsDiffer { server, client } => format!("输出 token 数：服务端计费 {server}，客户端统计文本为 {client}"),
            Self::FewerImagesBilled { images, expected, billed_beyond_text } => format!("{images} 张图应为 {expected} 个 token，服务端在文本之外只计费 {billed_beyond_text} 个：可能只用了其中一部分"),
            Self::Proxy { proxy } => format!("请求经过代理 {proxy}：所有数字都包含它的时间；设置 NO_PROXY 可绕过"),
            Self::WallClockStep { ns } => format!("测试期间系统时钟变动了 {:.3} ms：没有使用内核时间", *ns as f64 / 1e6),
            Self::KernelClockMissing { requests, of } => format!("{of} 个请求中有 {requests} 个缺少内核时间：这些请求全程使用程序自己的读取时间"),
            Self::LateSends { p99_ms } => format!("客户端发送迟到（P99 晚 {p99_ms:.2} ms）：客户端或机器过载；请降低速率或让出一个核"),
            Self::NotSent { requests } => format!("有 {requests} 个请求从未发送（见原因）"),
            Self::Reopened { connections } => format!("有 {connections} 个空闲连接在请求前重新建立；该时间不计入任何数字"),
            Self::ProofNotSeen => "图像验证：未看到图像：服务端没有为图像计费；这是视觉模型吗？模板是否保留了图像？".into(),
            Self::ProofUnexpectedSize { billed, expected } => format!("图像验证：尺寸不符：图像计费 {billed} 个 token，应为 {expected} 个（每张再加 2 到 4 个）：像素上限或预处理不同"),
            Self::ProofWithoutEffect { logprobs: true } => "图像验证：计费了但没有作用：换一张同尺寸的图片，答案和 logprob 都没有变化".into(),
            Self::ProofWithoutEffect { logprobs: false } => "图像验证：计费了但没有作用：换一张同尺寸的图片，答案没有变化（服务端不提供 logprob）".into(),
            Self::ProofUnknown { why } => format!("图像验证：无法判断：{}", why.text(Lang::Zh)),
            Self::EventsLeftOut => "本次运行以 --detail summary 记录：无法由其文件计算 token 间隔、峰值速率，以及以 token 间隔为上限的 goodput".into(),
            Self::OlderDefinitions => "使用 --definitions vllm：角色事件和结束事件也计为 token，TTFT 偏早，ITL 均值偏小；不可与标准定义的数字比较".into(),
        }
    }
}

impl WarmCache {
    fn english(&self) -> String {
        let Self { requests, repeated, .. } = self;
        let told =
            self.told().map(|(cached, of)| format!("the server took {cached} of {of} prompt tokens from its cache"));
        if *repeated == 0 {
            let told = told.unwrap_or_default();
            return format!("warm cache: {told}, though no request was sent twice: they begin alike");
        }
        let (what, caches) = match self.images {
            true => ("pictures", "a prefix or image cache"),
            false => ("a prompt", "a prefix cache"),
        };
        let told = told.map(|told| format!(" ({told})")).unwrap_or_default();
        let remedy = match (self.images, self.by_duration) {
            (true, false) => "--cold makes every image different and sends none before",
            (true, true) => "--cold with --num-prompts makes every image different and sends none before",
            (false, false) => "--cold with --prompts or --synthetic-prompt-tokens makes the prompts differ",
            (false, true) => {
                "--cold with --num-prompts and --prompts or --synthetic-prompt-tokens makes the prompts differ"
            }
        };
        format!(
            "warm cache: {repeated} of {requests} measured requests repeat {what} sent before, so {caches} can shorten their TTFT{told}; {remedy}"
        )
    }

    fn chinese(&self) -> String {
        let Self { requests, repeated, .. } = self;
        let told = self.told().map(|(cached, of)| format!("服务端 {of} 个输入 token 中有 {cached} 个来自缓存"));
        if *repeated == 0 {
            return format!("热缓存：{}，虽然没有请求重复发送：它们的开头相同", told.unwrap_or_default());
        }
        let (what, caches) =
            if self.images { ("图片", "前缀缓存或图像缓存") } else { ("提示", "前缀缓存") };
        let told = told.map(|told| format!("（{told}）")).unwrap_or_default();
        let remedy = match (self.images, self.by_duration) {
            (true, false) => "--cold 使每张图不同且不预先发送",
            (true, true) => "--cold 与 --num-prompts 使每张图不同且不预先发送",
            (false, false) => "--cold 与 --prompts 或 --synthetic-prompt-tokens 使提示各不相同",
            (false, true) => "--cold、--num-prompts 与 --prompts 或 --synthetic-prompt-tokens 使提示各不相同",
        };
        format!(
            "热缓存：{requests} 个测量请求中有 {repeated} 个的{what}之前发送过，{caches}可能缩短其 TTFT{told}；{remedy}"
        )
    }

    fn told(&self) -> Option<(u64, u64)> {
        self.cached_tokens.zip(self.prompt_tokens)
    }
}
