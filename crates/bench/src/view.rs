//! What a person sees while a run goes on: a bar on a terminal, lines otherwise. A fold over the run's events.

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use measure::{Lang, Outcome};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Talk on stderr, in one language, with a progress bar where stderr is a terminal.
pub struct View {
    lang: Lang,
    bar: Option<ProgressBar>,
    in_flight: u64,
    failed: u64,
}

impl View {
    /// A view without a bar.
    #[must_use]
    pub fn new(lang: Lang) -> Self {
        Self { lang, bar: None, in_flight: 0, failed: 0 }
    }

    /// The language.
    #[must_use]
    pub fn lang(&self) -> Lang {
        self.lang
    }

    /// A line of talk.
    pub fn say(&self, text: impl AsRef<str>) {
        let write = || {
            // Nobody can be told that stderr is gone.
            let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// A round begins: the bar appears, on a terminal only. `requests` is `None` where the duration decides.
    pub fn begin(&mut self, title: &str, requests: Option<u64>) {
        (self.in_flight, self.failed) = (0, 0);
        if !std::io::stderr().is_terminal() {
            return;
        }
        let bar = ProgressBar::with_draw_target(requests, ProgressDrawTarget::stderr_with_hz(10));
        let template = match requests {
            Some(_) => "{prefix} [{bar:24}] {pos}/{len} {per_sec} ETA {left} {msg}",
            None => "{prefix} {spinner} {pos} {per_sec} {elapsed} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            // Before the first request has ended, nothing is known of the rest.
            let left = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = match state.pos() {
                    0 => write!(out, "?"),
                    _ => write!(out, "{:#}", HumanDuration(state.eta())),
                };
            };
            bar.set_style(style.with_key("left", left).progress_chars("=> "));
        }
        bar.set_prefix(title.to_owned());
        bar.enable_steady_tick(Duration::from_millis(500));
        self.bar = Some(bar);
    }

    /// A request is being sent.
    pub fn sent(&mut self) {
        self.in_flight += 1;
        self.show();
    }

    /// A request that was sent, or never was, has ended.
    pub fn ended(&mut self, outcome: &Outcome, was_sent: bool) {
        self.in_flight = self.in_flight.saturating_sub(u64::from(was_sent));
        self.failed += u64::from(*outcome != Outcome::Complete);
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        self.show();
    }

    /// The round is over: the bar goes.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn show(&self) {
        if let Some(bar) = &self.bar {
            let text = self.lang.pick(
                format!("{} in flight, {} failed", self.in_flight, self.failed),
                format!("在途 {}，失败 {}", self.in_flight, self.failed),
            );
            bar.set_message(text);
        }
    }
}
