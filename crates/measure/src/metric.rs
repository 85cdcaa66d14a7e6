//! The definition of every figure of a request, in one place. METRICS.md says the same in prose.

use crate::lang::Lang;
use crate::timeline::Timeline;

/// One figure of a request.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its machine name, unit included.
    pub name: &'static str,
    /// How it is headed, English and Chinese.
    title: (&'static str, &'static str),
    /// Its values for one request: none where it is undefined, one for most, one a gap for the latencies between tokens.
    pub values: fn(&Timeline<'_>) -> Vec<f64>,
    /// Whether the values of one request depend on each other, so that no interval is given.
    pub pooled: bool,
}

impl Metric {
    /// Its heading.
    #[must_use]
    pub fn title(&self, lang: Lang) -> &'static str {
        lang.pick(self.title.0, self.title.1)
    }
}

/// Every figure of a request, in the order of the report.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "ttft_ms",
        title: ("TTFT", "首个 token 延迟 TTFT"),
        // First token event − send start.
        values: |line| one(ms_between(line.record.sent_ns, line.first_token_ns())),
        pooled: false,
    },
    Metric {
        name: "tpot_ms",
        title: ("TPOT", "每输出 token 时间 TPOT"),
        // (last token event − first token event) / (output tokens − 1).
        values: |line| one(tpot_ms(line)),
        pooled: false,
    },
    Metric {
        name: "itl_ms",
        title: ("ITL (event)", "token 间隔 ITL（按事件）"),
        // Each gap between consecutive token events.
        values: |line| line.gaps().map(|(gap, _)| ms(gap)).collect(),
        pooled: true,
    },
    Metric {
        name: "itl_token_ms",
        title: ("ITL (token)", "token 间隔 ITL（按 token）"),
        // The gap divided by the tokens it brought, where the server tells.
        values: |line| {
            let known = |(gap, tokens): (u64, Option<u32>)| {
                tokens.filter(|tokens| *tokens > 0).map(|tokens| (ms(gap) / f64::from(tokens), tokens))
            };
            let spread = |(each, tokens): (f64, u32)| std::iter::repeat_n(each, tokens.min(10_000) as usize);
            line.gaps().filter_map(known).flat_map(spread).collect()
        },
        pooled: true,
    },
    Metric {
        name: "e2e_ms",
        title: ("End to end", "端到端延迟"),
        // Last event − send start.
        values: |line| one(ms_between(line.record.sent_ns, line.last_event_ns)),
        pooled: false,
    },
    Metric {
        name: "ttft_from_schedule_ms",
        title: ("TTFT from schedule", "自计划时刻的 TTFT"),
        // First token event − intended send time: the client's own queue included.
        values: |line| one(ms_between(Some(line.record.intended_ns), line.first_token_ns())),
        pooled: false,
    },
    Metric {
        name: "ttft_net_of_upload_ms",
        title: ("TTFT net of upload", "扣除上传的 TTFT"),
        // First token event − last request byte handed to the kernel. A client that learns of the latter after the former does
        // not know.
        values: |line| one(ms_between(line.record.body_sent_ns, line.first_token_ns()).filter(|net| *net >= 0.0)),
        pooled: false,
    },
    Metric {
        name: "first_event_ms",
        title: ("First event", "首个事件"),
        // First event of any kind − send start.
        values: |line| one(ms_between(line.record.sent_ns, line.first_event_ns)),
        pooled: false,
    },
    Metric {
        name: "first_answer_ms",
        title: ("First answer token", "首个回答 token"),
        // First token event that is no reasoning − send start.
        values: |line| one(ms_between(line.record.sent_ns, line.first_answer_ns)),
        pooled: false,
    },
    Metric {
        name: "queue_wait_ms",
        title: ("Wait in the client", "客户端等待"),
        // Send start − intended send time.
        values: |line| one(ms_between(Some(line.record.intended_ns), line.record.sent_ns)),
        pooled: false,
    },
    Metric {
        name: "send_lateness_ms",
        title: ("Send lateness", "发送迟到"),
        // Send start − the instant at which time and cap allowed it: the client's own delay.
        values: |line| one(ms_between(line.record.admitted_ns, line.record.sent_ns)),
        pooled: false,
    },
    Metric {
        name: "connect_ms",
        title: ("Connect", "建立连接"),
        // Opening the connection, before the clock starts; for the first request on it.
        values: |line| {
            let first = line.record.connection.filter(|connection| connection.reused == 0);
            one(first.map(|connection| ms(connection.connect_ns)))
        },
        pooled: false,
    },
];

fn one(value: Option<f64>) -> Vec<f64> {
    value.into_iter().collect()
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// `None` unless both ends are known. A kernel stamp may lie a little before our own send stamp's neighbour: the
/// difference is signed.
fn ms_between(from_ns: Option<u64>, to_ns: Option<u64>) -> Option<f64> {
    Some((to_ns? as i128 - from_ns? as i128) as f64 / 1e6)
}

fn tpot_ms(line: &Timeline<'_>) -> Option<f64> {
    let output = line.output_tokens().filter(|output| *output >= 2)?;
    let span = ms_between(line.first_token_ns(), line.last_token_ns())?;
    // Where one read brought all of them, nothing is known of the time between them.
    let mut reads = line.record.events.iter().filter(|event| event.kind.is_token()).map(|event| event.user_ns);
    let several_reads = reads.next() != reads.next_back();
    (line.tokens.len() >= 2 && several_reads).then(|| span / (output - 1) as f64)
}
