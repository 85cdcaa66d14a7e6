//! The client as an instrument: how far its own figures may lie from what happened, from what it noted itself.
//!
//! - **Sending.** The clock is read before a write and after it. TTFT begins at the reading before the first write; the bytes
//!   left before the reading after it. So a TTFT is too long by at most what that write took.
//! - **Receiving, the kernel's times.** A read carries the time of its last segment. An event that is the last of its read came
//!   then; one that shares its read with later events came at that time or before, but after the read before.
//! - **Receiving, our own times.** An event came before our read; by how much, the kernel's time tells.
//!
//! What none of these can see is [`UNSEEN_US`]. It must not know how a server or another tool measures.

use crate::lang::Lang;
use crate::record::RequestRecord;
use crate::runlog::RunLog;
use crate::sample::Sample;
use crate::timeline::Timeline;
use serde::{Deserialize, Serialize};

/// From a segment's way into the kernel to its stamp, and from a write to the wire, µs: 2–7 were measured on loopback and across a
/// virtual link; a real network card and its interrupts are not in it.
const UNSEEN_US: f64 = 10.0;
/// Above this bound figures are not called good, µs.
const GOOD_US_MAX: f64 = 1000.0;
/// Sends later than this are the client's fault, ms.
pub(super) const LATE_MS_MAX: f64 = 5.0;
/// Our reads come later than this after the kernel's time only when something else had the core, µs.
const LAG_US_SHARED: f64 = 1000.0;
/// The kernel may hold this much of a body when its last write returns; for a larger one the client waits until it is sent.
const LARGE_BODY_BYTES: u64 = 16 * 1024;
/// A thread that works more than this share of the time is a queue.
const CPU_SHARE_MAX: f64 = 0.9;

/// What the client says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientState {
    /// The figures are good to the bound.
    Good,
    /// The client kept up, and yet its figures are good to more than a millisecond only.
    Imprecise,
    /// The client did not keep up: its figures are partly its own.
    Overloaded,
    /// The records do not tell.
    #[default]
    Unknown,
}

/// What the larger part of a TTFT's bound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoundBy {
    /// How long writing the request took.
    Write,
    /// The first token came in one read with later events, so it may have come any time after the read before.
    SharedRead,
    /// Our read came that long after the kernel's time.
    ReadLag,
}

/// The verdict, with what it rests on. Times in µs unless named otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientVerdict {
    /// The verdict.
    pub state: ClientState,
    /// 99 of 100 TTFTs are wrong by no more than this.
    pub ttft_bound_us: Option<f64>,
    /// A mean TTFT is wrong by no more than this.
    #[serde(default)]
    pub ttft_mean_bound_us: Option<f64>,
    /// What the larger part of that bound is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ttft_bound_by: Option<BoundBy>,
    /// 99 of 100 TTFTs net of upload are: that the kernel has sent a large body is noticed as late as an event. Only where bodies
    /// were large.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub net_of_upload_bound_us: Option<f64>,
    /// 99 of 100 times of token events are wrong by no more than this.
    pub event_bound_us: Option<f64>,
    /// How long the writes that began or ended a request took, P99.
    pub write_us_p99: Option<f64>,
    /// From the kernel's time of an event to our read of it, P99 and largest.
    pub read_lag_us_p99: Option<f64>,
    /// See `read_lag_us_p99`.
    pub read_lag_us_max: Option<f64>,
    /// Requests sent after they should have been, P99, ms.
    pub send_lateness_ms_p99: Option<f64>,
    /// Token events that shared a read with the token event before them, of all.
    pub coalesced: Option<f64>,
    /// Processor time of the client in the measured rounds by their time and thread (`--threads`): 1 is a core's whole work.
    pub cpu_share: Option<f64>,
    /// How often the system took a core away from the client.
    pub involuntary_switches: Option<u64>,
    /// TCP segments that this machine sent again during the run, whoever sent them.
    pub retransmits: Option<u64>,
    /// Something else worked on the client's core.
    pub core_shared: bool,
    /// The bound is that of the kernel's times.
    pub by_kernel: bool,
}

impl ClientVerdict {
    /// The verdict on a run.
    pub(super) fn of(
        log: &RunLog,
        complete: &[&Timeline<'_>],
        duration_s: Option<f64>,
        late_ms_p99: Option<f64>,
    ) -> Self {
        let records = || complete.iter().map(|line| line.record);
        let p99 = |values: &[f64]| Sample::new(values.iter().copied()).map(|sample| sample.quantile(0.99));
        let writes: Vec<f64> = records().filter_map(|record| record.write_ns_max).map(us).collect();
        let lags: Vec<f64> = records().flat_map(|record| &record.events).filter_map(lag_us).collect();
        let by_kernel = !complete.is_empty() && complete.iter().all(|line| line.by_kernel);
        let receiving: Vec<Option<Vec<f64>>> = complete.iter().map(|line| receive_bounds_us(line)).collect();
        let all_known = receiving.iter().all(Option::is_some) && writes.len() == complete.len();
        // Of each request with a token its number, what receiving adds and what its write took.
        let firsts: Vec<(usize, f64, f64)> = receiving
            .iter()
            .zip(&writes)
            .enumerate()
            .filter_map(|(number, (bounds, write))| Some((number, *bounds.as_ref()?.first()?, *write)))
            .collect();
        let ttft: Vec<f64> = firsts.iter().map(|(_, receiving, write)| receiving + write).collect();
        let events: Vec<f64> = receiving.iter().flatten().flatten().copied().collect();
        let mean = |values: &[f64]| Sample::new(values.iter().copied()).map(|sample| sample.mean());
        let known = |values: &[f64]| p99(values).filter(|_| all_known).map(|bound| bound + UNSEEN_US);
        let ttft_bound_by = p99(&ttft).filter(|_| all_known).and_then(|bound| {
            let distance = |(_, receiving, write): &(usize, f64, f64)| (receiving + write - bound).abs();
            let (number, receiving, write) = firsts.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
            Some(bound_by(complete[*number], *write, *receiving))
        });
        let tokens: usize = complete.iter().map(|line| line.tokens.len()).sum();
        let footer = log.footer.as_ref();
        let cpu_s =
            footer.and_then(|footer| footer.client_cpu_load_ns.or(footer.client_cpu_ns)).map(|ns| ns as f64 / 1e9);
        let threads = log.header.plan["threads"].as_u64().unwrap_or(1).max(1) as f64;
        let read_lag_us_p99 = p99(&lags);
        let mut verdict = Self {
            state: ClientState::Unknown,
            ttft_bound_us: known(&ttft),
            ttft_mean_bound_us: mean(&ttft).filter(|_| all_known).map(|bound| bound + UNSEEN_US),
            ttft_bound_by,
            net_of_upload_bound_us: known(&ttft)
                .zip(read_lag_us_p99)
                .filter(|_| records().any(|record| record.body_bytes > LARGE_BODY_BYTES))
                .map(|(bound, lag)| bound + lag),
            event_bound_us: known(&events),
            write_us_p99: p99(&writes),
            read_lag_us_p99,
            read_lag_us_max: Sample::new(lags).map(|sample| sample.max()),
            send_lateness_ms_p99: late_ms_p99,
            coalesced: (tokens > 0)
                .then(|| complete.iter().map(|line| line.coalesced).sum::<usize>() as f64 / tokens as f64),
            cpu_share: cpu_s
                .zip(duration_s)
                .filter(|(_, duration)| *duration > 0.0)
                .map(|(cpu, duration)| cpu / duration / threads),
            involuntary_switches: footer.and_then(|footer| footer.client_involuntary_switches),
            retransmits: footer.and_then(|footer| footer.tcp_retransmits),
            core_shared: false,
            by_kernel,
        };
        verdict.core_shared =
            verdict.works_less_than_it_waits() && read_lag_us_p99.is_some_and(|lag| lag > LAG_US_SHARED);
        verdict.state = verdict.judge();
        verdict
    }

    fn works_less_than_it_waits(&self) -> bool {
        self.cpu_share.is_none_or(|share| share <= CPU_SHARE_MAX)
    }

    fn judge(&self) -> ClientState {
        if self.send_lateness_ms_p99.is_some_and(|late| late > LATE_MS_MAX) {
            return ClientState::Overloaded;
        }
        match self.ttft_bound_us {
            Some(bound) if bound <= GOOD_US_MAX => ClientState::Good,
            // Late reads are the client's; a slow write may be the system's, events that came together the server's doing.
            Some(_) if self.read_lag_us_p99.is_some_and(|lag| lag > LAG_US_SHARED) => ClientState::Overloaded,
            Some(_) if !self.works_less_than_it_waits() => ClientState::Overloaded,
            Some(_) => ClientState::Imprecise,
            None => ClientState::Unknown,
        }
    }

    /// The report's line, with what to do where something can be done.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        let within = match self.by_kernel {
            true => lang.pick(
                "from the kernel's stamps; network card and interrupts not included",
                "按内核时间戳；不含网卡与中断",
            ),
            false => lang.pick("by the client's own reads", "按程序自己的读取时间"),
        };
        let mut text = match (self.state, self.ttft_bound_us) {
            (ClientState::Good, Some(us)) => {
                lang.pick(format!("client: figures good to ±{} ({within})", bound(us)), format!("客户端：数字误差不超过 ±{}（{within}）", bound(us)))
            }
            (ClientState::Overloaded, us) => {
                let causes = self.causes(us.map(bound), lang).join(lang.pick(", ", "，"));
                lang.pick(
                    format!("client overloaded: {causes}; give it a core of its own, or lower rate or concurrency"),
                    format!("客户端过载：{causes}；请为其留出一个核，或降低速率或并发"),
                )
            }
            (ClientState::Imprecise, Some(us)) => {
                let cause = self.why_imprecise(lang);
                lang.pick(
                    format!("client: not overloaded, yet TTFT good to ±{} only: {cause} ({within})", bound(us)),
                    format!("客户端：未过载，但 TTFT 误差可达 ±{}：{cause}（{within}）", bound(us)),
                )
            }
            _ => lang
                .pick(
                    "client: how good the figures are is not known: records lack the kernel's times or the time that sending took",
                    "客户端：无法判断数字误差：记录中缺少内核时间或发送所用时间",
                )
                .to_owned(),
        };
        let gaps_us = self.event_bound_us.filter(|us| *us > GOOD_US_MAX.max(self.ttft_bound_us.unwrap_or_default()));
        if let Some(us) = gaps_us.map(bound) {
            text.push_str(&lang.pick(
                format!("; single times between tokens good to ±{us} only, as events shared reads"),
                format!("；单个 token 间隔误差可达 ±{us}，因为多个事件在同一次读取中到达"),
            ));
        }
        if let (true, Some(max)) = (self.core_shared, self.read_lag_us_max) {
            let taken = self.involuntary_switches.unwrap_or_default();
            text.push_str(&lang.pick(
                format!(
                    "; its core was shared: reads up to {} late, the core taken away {taken} {}",
                    bound(max),
                    times(taken)
                ),
                format!("；其核被其他程序占用：读取最多迟 {}，被抢占 {taken} 次", bound(max)),
            ));
        }
        text
    }

    fn why_imprecise(&self, lang: Lang) -> String {
        match self.ttft_bound_by {
            Some(BoundBy::Write) => {
                let (longest, taken) =
                    (bound(self.write_us_p99.unwrap_or_default()), self.involuntary_switches.unwrap_or_default());
                lang.pick(
                    format!("handing a request to the system took {longest} (P99), its core taken away {taken} {}", times(taken)),
                    format!("把请求交给系统用了 {longest}（P99），核被抢占 {taken} 次"),
                )
            }
            Some(BoundBy::ReadLag) => lang.pick("reads came late", "读取较迟").into(),
            Some(BoundBy::SharedRead) | None => lang.pick(
                "first tokens shared a read with later events: a fast server, a proxy that batches events, or a client that read late",
                "首个 token 与之后的事件在同一次读取中到达：服务端很快、代理合并事件，或客户端读取较迟",
            ).into(),
        }
    }

    fn causes(&self, bound: Option<String>, lang: Lang) -> Vec<String> {
        let mut causes = Vec::new();
        if let Some(late) = self.send_lateness_ms_p99.filter(|late| *late > LATE_MS_MAX) {
            causes.push(lang.pick(format!("sends {late:.1} ms late (P99)"), format!("发送迟 {late:.1} 毫秒（P99）")));
        }
        if let Some(bound) = bound.filter(|_| self.ttft_bound_us.is_some_and(|us| us > GOOD_US_MAX)) {
            causes.push(lang.pick(format!("TTFT good to ±{bound} only"), format!("TTFT 误差可达 ±{bound}")));
        }
        if let Some(share) = self.cpu_share.filter(|share| *share > CPU_SHARE_MAX) {
            causes.push(
                lang.pick(
                    format!("{:.0} % of a core used", share * 100.0),
                    format!("占用 {:.0} % 的核", share * 100.0),
                ),
            );
        }
        causes
    }
}

fn times(count: u64) -> &'static str {
    if count == 1 { "time" } else { "times" }
}

/// A bound in words.
fn bound(us: f64) -> String {
    if us < 1000.0 { format!("{us:.0} µs") } else { format!("{:.1} ms", us / 1e3) }
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

fn lag_us(event: &crate::event::EventStamp) -> Option<f64> {
    event.kernel_ns.map(|kernel_ns| us(event.user_ns.saturating_sub(kernel_ns)))
}

/// What the larger part of a request's TTFT bound is: of its write and of what receiving adds, both in µs.
fn bound_by(line: &Timeline<'_>, write_us: f64, receiving_us: f64) -> BoundBy {
    if write_us >= receiving_us {
        return BoundBy::Write;
    }
    let first = line.record.events.iter().find(|event| event.kind.is_token());
    let lag_us = if line.by_kernel { None } else { first.and_then(lag_us) };
    if lag_us.is_some_and(|lag| 2.0 * lag >= receiving_us) { BoundBy::ReadLag } else { BoundBy::SharedRead }
}

/// How early each token event may really have come, µs; `None` where the records do not tell.
fn receive_bounds_us(line: &Timeline<'_>) -> Option<Vec<f64>> {
    let record: &RequestRecord = line.record;
    let events = &record.events;
    let mut bounds = Vec::new();
    for (number, event) in events.iter().enumerate().filter(|(_, event)| event.kind.is_token()) {
        let kernel_ns = event.kernel_ns?;
        let later_in_the_read = events.get(number + 1).is_some_and(|next| next.user_ns == event.user_ns);
        let read_before = events[..number].iter().rev().find(|other| other.user_ns != event.user_ns);
        let earliest_ns = match (later_in_the_read, read_before) {
            (false, _) => kernel_ns,
            (true, Some(before)) => before.user_ns.min(kernel_ns),
            (true, None) => record.body_sent_ns?.min(kernel_ns),
        };
        let shown_ns = if line.by_kernel { kernel_ns } else { event.user_ns };
        bounds.push(us(shown_ns.saturating_sub(earliest_ns)));
    }
    Some(bounds)
}
