//! Why there is no connection, in words that a user can act on. It must not know how one is opened.

use measure::Lang;
use std::fmt;
use std::io;
use std::time::Duration;

/// Who is at the other end of the first hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// The server itself: host or address, and port.
    Server(String),
    /// A proxy from the environment: host or address, and port, never its credentials.
    Proxy(String),
}

impl Peer {
    fn text(&self, lang: Lang) -> String {
        match self {
            Self::Server(name) => name.clone(),
            Self::Proxy(name) => {
                lang.pick(format!("the proxy {name} (from the environment)"), format!("代理 {name}（来自环境变量）"))
            }
        }
    }
}

/// How far the opening of a connection had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Name and TCP.
    Tcp,
    /// The proxy's tunnel.
    Tunnel,
    /// The TLS handshake.
    Tls,
}

/// Why there is no connection. `Display` is the English text, which also stands in records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectError {
    /// The host's name has no address.
    Resolve {
        /// Whose name.
        peer: Peer,
        /// The system's words.
        why: String,
    },
    /// Nothing answers there.
    Refused {
        /// Who.
        peer: Peer,
        /// The kind of failure, for words in the user's language.
        kind: io::ErrorKind,
        /// The system's words.
        why: String,
    },
    /// It took too long.
    Timeout {
        /// Who.
        peer: Peer,
        /// What was not finished.
        step: Step,
        /// The limit.
        limit: Duration,
    },
    /// The proxy refused the tunnel.
    Tunnel {
        /// The proxy.
        proxy: String,
        /// Its status line, or what is wrong.
        why: String,
    },
    /// The TLS handshake failed.
    Tls {
        /// The host.
        host: String,
        /// What is wrong.
        why: String,
    },
    /// Out of file descriptors.
    TooManyFiles,
    /// Out of local ports.
    NoPorts {
        /// Who.
        peer: Peer,
    },
}

impl ConnectError {
    /// What the system said of one attempt.
    pub(super) fn of(error: &io::Error, peer: Peer) -> Self {
        use nix::errno::Errno;
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EMFILE | Errno::ENFILE) => Self::TooManyFiles,
            Some(Errno::EADDRNOTAVAIL) => Self::NoPorts { peer },
            _ => Self::Refused { peer, kind: error.kind(), why: error.to_string() },
        }
    }

    /// Whether the cause lies in this process or machine, not at the other end.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self, Self::TooManyFiles | Self::NoPorts { .. })
    }

    /// The proxy that failed, where it was one.
    #[must_use]
    pub fn proxy(&self) -> Option<&str> {
        match self {
            Self::Tunnel { proxy: name, .. }
            | Self::Resolve { peer: Peer::Proxy(name), .. }
            | Self::Refused { peer: Peer::Proxy(name), .. }
            | Self::Timeout { peer: Peer::Proxy(name), .. } => Some(name),
            _ => None,
        }
    }

    /// The error in the user's language. The system's own words stay as they are.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        match self {
            Self::Resolve { peer, why } => {
                let who = peer.text(lang);
                lang.pick(format!("{who} cannot be resolved: {why}"), format!("无法解析 {who}：{why}"))
            }
            Self::Refused { peer, kind, why } => {
                let who = peer.text(lang);
                let words = in_chinese(*kind).map_or_else(|| why.clone(), |words| format!("{words}（{why}）"));
                lang.pick(format!("no connection to {who}: {why}"), format!("无法连接 {who}：{words}"))
            }
            Self::Timeout { peer, step, limit } => late(&peer.text(lang), *step, *limit, lang),
            Self::Tunnel { proxy, why } => lang.pick(
                format!("the proxy {proxy} (from the environment) opened no tunnel: {why}"),
                format!("代理 {proxy}（来自环境变量）没有建立隧道：{why}"),
            ),
            Self::Tls { host, why } => {
                lang.pick(format!("TLS with {host}: {why}"), format!("与 {host} 的 TLS 握手失败：{why}"))
            }
            Self::TooManyFiles => lang.pick(
                "too many open files: this process may hold no more connections; raise the limit (ulimit -n)".into(),
                "打开的文件过多：本进程不能再建立连接；请提高上限（ulimit -n）".into(),
            ),
            Self::NoPorts { peer } => {
                let who = peer.text(lang);
                lang.pick(
                    format!(
                        "no local port is left for {who}: some 28,000 connections to one address are the system's limit"
                    ),
                    format!("没有可用于 {who} 的本地端口：系统对同一地址约允许 28,000 个连接"),
                )
            }
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Lang::En))
    }
}

impl std::error::Error for ConnectError {}

fn late(who: &str, step: Step, limit: Duration, lang: Lang) -> String {
    let seconds = seconds(limit);
    match step {
        Step::Tcp => lang.pick(
            format!("no connection to {who} within {seconds} s (--connect-timeout)"),
            format!("{seconds} 秒内未能连接 {who}（--connect-timeout）"),
        ),
        Step::Tunnel => lang.pick(
            format!("{who} opened no tunnel within {seconds} s (--connect-timeout)"),
            format!("{who} 在 {seconds} 秒内没有建立隧道（--connect-timeout）"),
        ),
        Step::Tls => lang.pick(
            format!("{who} took the connection, but there was no TLS handshake within {seconds} s (--connect-timeout)"),
            format!("{who} 接受了连接，但 {seconds} 秒内没有完成 TLS 握手（--connect-timeout）"),
        ),
    }
}

/// A duration as people type it: `30`, `0.3`.
pub(super) fn seconds(limit: Duration) -> String {
    ((limit.as_secs_f64() * 1000.0).round() / 1000.0).to_string()
}

/// The usual kinds; for others the system's words have to do.
fn in_chinese(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::ConnectionRefused => Some("连接被拒绝"),
        io::ErrorKind::ConnectionReset => Some("连接被重置"),
        io::ErrorKind::HostUnreachable => Some("主机不可达"),
        io::ErrorKind::NetworkUnreachable => Some("网络不可达"),
        io::ErrorKind::TimedOut => Some("超时"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: &ConnectError, en: &str, zh: &str) {
        assert_eq!((error.text(Lang::En).as_str(), error.text(Lang::Zh).as_str()), (en, zh));
        assert_eq!(error.to_string(), en);
    }

    #[test]
    fn both_languages_and_who_it_was() {
        let refused = io::Error::from_raw_os_error(nix::errno::Errno::ECONNREFUSED as i32);
        check(
            &ConnectError::of(&refused, Peer::Server("h:1".into())),
            "no connection to h:1: Connection refused (os error 111)",
            "无法连接 h:1：连接被拒绝（Connection refused (os error 111)）",
        );
        let late = |step| ConnectError::Timeout {
            peer: Peer::Proxy("p:3128".into()),
            step,
            limit: Duration::from_millis(300),
        };
        check(
            &late(Step::Tcp),
            "no connection to the proxy p:3128 (from the environment) within 0.3 s (--connect-timeout)",
            "0.3 秒内未能连接 代理 p:3128（来自环境变量）（--connect-timeout）",
        );
        assert_eq!(late(Step::Tunnel).proxy(), Some("p:3128"));
        let files = io::Error::from_raw_os_error(nix::errno::Errno::EMFILE as i32);
        assert!(ConnectError::of(&files, Peer::Server("h:1".into())).is_local());
    }
}
