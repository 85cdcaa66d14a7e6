//! What is tried: streams × rate × size of an event × TLS × size of the request.

use crate::cli::CalibrateArgs;
use measure::{Clock, Lang};
use serde::Serialize;

/// One load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Case {
    /// Requests at once, in one burst.
    pub streams: u32,
    /// Between two events of a stream, ms; 0: back to back.
    pub interval_ms: f64,
    /// From a request to its first token, ms.
    pub prefill_ms: f64,
    /// Token events of a stream.
    pub tokens: u64,
    /// Size of each event, bytes; `None`: as vLLM's.
    pub event_bytes: Option<usize>,
    /// An image of so many MB in every request.
    pub image_mb: Option<f64>,
    /// Over TLS.
    pub tls: bool,
    /// Which clock the figures are by.
    pub clock: Clock,
}

impl Case {
    /// In a few words.
    #[must_use]
    pub fn name(&self, lang: Lang) -> String {
        let mut words = vec![lang.pick(format!("{} streams", self.streams), format!("{} 路", self.streams))];
        words.push(match self.interval_ms {
            0.0 => lang.pick("back to back", "不间断").into(),
            ms => lang.pick(format!("each {ms} ms"), format!("每 {ms} 毫秒")),
        });
        words.extend(self.event_bytes.map(|bytes| lang.pick(format!("{bytes} bytes"), format!("{bytes} 字节"))));
        words.extend(self.image_mb.map(|mb| lang.pick(format!("image {mb} MB"), format!("图片 {mb} MB"))));
        words.extend(self.tls.then(|| "TLS".to_owned()));
        words.join(", ")
    }
}

/// The cases that flags ask for; without flags about a minute of the usual ones.
pub(super) fn cases(args: &CalibrateArgs) -> Vec<Case> {
    let base = Case {
        streams: 1,
        interval_ms: args.interval_ms.unwrap_or(20.0),
        prefill_ms: 200.0,
        tokens: args.tokens,
        event_bytes: args.event_bytes,
        image_mb: args.image_mb,
        tls: args.tls,
        clock: args.clock.into(),
    };
    let at = |streams: u32| Case { streams, ..base.clone() };
    if !args.streams.is_empty() {
        return args.streams.iter().map(|streams| at(*streams)).collect();
    }
    let mut cases: Vec<Case> = [1, 64, 256].map(at).to_vec();
    // 51,200 events a second would be a core's whole work for the server: a longer gap keeps it true.
    cases.push(Case { interval_ms: base.interval_ms.max(100.0), tokens: base.tokens.min(48), ..at(1024) });
    let is_plain = args.event_bytes.is_none() && args.image_mb.is_none() && args.interval_ms.is_none() && !args.tls;
    if is_plain {
        cases.push(Case { event_bytes: Some(4096), ..at(64) });
        cases.push(Case { image_mb: Some(3.0), tokens: 32, ..at(64) });
        cases.push(Case { tls: true, ..at(64) });
        cases.push(Case { interval_ms: 0.0, tokens: 4000, ..at(64) });
    }
    cases
}
