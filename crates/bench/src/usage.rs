//! What a run costs this process and this machine, as the system counts it. It must not know what a run is.

use nix::sys::resource::{UsageWho, getrusage};

/// The system's counters at one time.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    cpu_ns: u64,
    involuntary_switches: Option<u64>,
    tcp_retransmits: Option<u64>,
}

impl Usage {
    /// The counters now.
    #[must_use]
    pub fn now() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
        Self {
            cpu_ns: stamp::cpu_ns(),
            involuntary_switches: usage.and_then(|usage| u64::try_from(usage.involuntary_context_switches()).ok()),
            tcp_retransmits: std::fs::read_to_string("/proc/self/net/snmp").ok().and_then(|text| retransmits(&text)),
        }
    }

    /// What has come to them since.
    #[must_use]
    pub fn since(self) -> Self {
        let now = Self::now();
        let less = |now: Option<u64>, before: Option<u64>| Some(now?.saturating_sub(before?));
        Self {
            cpu_ns: now.cpu_ns.saturating_sub(self.cpu_ns),
            involuntary_switches: less(now.involuntary_switches, self.involuntary_switches),
            tcp_retransmits: less(now.tcp_retransmits, self.tcp_retransmits),
        }
    }

    /// Processor time of this process, ns.
    #[must_use]
    pub fn cpu_ns(&self) -> u64 {
        self.cpu_ns
    }

    /// How often the system took a core away from this process (`ru_nivcsw`, getrusage(2)).
    #[must_use]
    pub fn involuntary_switches(&self) -> Option<u64> {
        self.involuntary_switches
    }

    /// TCP segments sent again in this network namespace (`RetransSegs`, RFC 4022), whoever sent them.
    #[must_use]
    pub fn tcp_retransmits(&self) -> Option<u64> {
        self.tcp_retransmits
    }
}

/// Largest resident size of this process so far, bytes.
#[must_use]
pub fn rss_bytes_max() -> Option<u64> {
    let kib = getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss();
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    u64::try_from(kib).ok().map(|kib| kib * unit)
}

/// The field under its name in the two `Tcp:` lines.
fn retransmits(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|name| name == "RetransSegs")?;
    values.split_whitespace().nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_found_by_its_name() {
        let text =
            "Ip: Forwarding\nIp: 1\nTcp: RtoMin InSegs RetransSegs OutRsts\nTcp: 200 -1 17 3\nUdp: InDatagrams\n";
        assert_eq!(retransmits(text), Some(17));
        assert_eq!(retransmits("Tcp: RtoMin\nTcp: 200\n"), None);
        assert_eq!(retransmits(""), None);
    }

    #[test]
    fn work_is_counted() {
        let before = Usage::now();
        let mut sum = 0u64;
        while before.since().cpu_ns() < 2_000_000 {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        assert!(sum > 0 && rss_bytes_max().is_some_and(|bytes| bytes > 1_000_000));
    }
}
