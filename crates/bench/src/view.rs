//! What a person sees while a run goes on: a bar on a terminal, lines otherwise. A fold over the run's events.

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use measure::{Lang, Outcome, RequestRecord};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Talk on stderr, in one language, with a progress bar where stderr is a terminal.
pub struct View {
    lang: Lang,
    bar: Option<ProgressBar>,
    sent: u64,
    first_tokens: u64,
    /// Of the requests that have ended: those that were sent, those that had a first token, those that failed.
    ended_sent: u64,
    ended_answering: u64,
    failed: u64,
}

impl View {
    /// A view without a bar.
    #[must_use]
    pub fn new(lang: Lang) -> Self {
        Self { lang, bar: None, sent: 0, first_tokens: 0, ended_sent: 0, ended_answering: 0, failed: 0 }
    }

    /// The language.
    #[must_use]
    pub fn lang(&self) -> Lang {
        self.lang
    }

    /// A line of talk.
    pub fn say(&self, text: impl AsRef<str>) {
        self.apart(|| {
            // Nobody can be told that stderr is gone.
            let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
        });
    }

    /// Lets something be written while the bar is out of the way.
    pub fn apart(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// A round begins: the bar appears, on a terminal only. `requests` is `None` where the duration decides.
    pub fn begin(&mut self, title: &str, requests: Option<u64>, duration: Option<Duration>) {
        (self.sent, self.first_tokens) = (0, 0);
        (self.ended_sent, self.ended_answering, self.failed) = (0, 0, 0);
        if !std::io::stderr().is_terminal() {
            return;
        }
        let bar = ProgressBar::with_draw_target(requests, ProgressDrawTarget::stderr_with_hz(10));
        let template = match (requests, duration) {
            (Some(1), None) => "{prefix} {spinner} {elapsed} {msg}",
            (Some(_), None) => "{prefix} [{bar:24}] {pos}/{len} {rate} {left} {msg}",
            (Some(_), Some(_)) => "{prefix} [{bar:24}] {pos}/{len} {rate} {of_time} {msg}",
            (None, _) => "{prefix} {spinner} {pos} {rate} {of_time} {msg}",
        };
        let lang = self.lang;
        if let Ok(style) = ProgressStyle::with_template(template) {
            let style = style
                .with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = out.write_str(&rate(state.pos(), state.elapsed()));
                })
                .with_key("left", move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = out.write_str(&left(state.pos(), state.len(), state.elapsed(), lang));
                })
                .with_key("of_time", move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = out.write_str(&of_time(state.elapsed(), duration, lang));
                });
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(title.to_owned());
        bar.enable_steady_tick(Duration::from_millis(500));
        self.bar = Some(bar);
    }

    /// So many requests of the round have been sent, and so many have begun to be answered.
    pub fn progress(&mut self, sent: u64, first_tokens: u64) {
        (self.sent, self.first_tokens) = (sent, first_tokens);
        self.show();
    }

    /// A request that was sent, or never was, has ended.
    pub fn ended(&mut self, record: &RequestRecord, was_sent: bool) {
        let answering = record.events.iter().any(|event| event.kind.is_token());
        let failed = !matches!(record.outcome, Outcome::Complete | Outcome::NotSent { .. } | Outcome::Cancelled);
        self.ended_sent += u64::from(was_sent);
        self.ended_answering += u64::from(answering);
        self.failed += u64::from(failed);
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
            let in_flight = self.sent.saturating_sub(self.ended_sent);
            let answering = self.first_tokens.saturating_sub(self.ended_answering);
            let failed = self.failed;
            let text = self.lang.pick(
                format!("{in_flight} in flight, {answering} of them answering, {failed} failed"),
                format!("在途 {in_flight}，其中 {answering} 个正在回答，失败 {failed}"),
            );
            bar.set_message(text);
        }
    }
}

/// Requests a second since the round began, with two digits that mean something.
fn rate(done: u64, elapsed: Duration) -> String {
    let per_s = done as f64 / elapsed.as_secs_f64().max(1e-9);
    match done {
        0 => "–/s".into(),
        _ if per_s >= 10.0 => format!("{per_s:.0}/s"),
        _ if per_s >= 1.0 => format!("{per_s:.1}/s"),
        _ => format!("{per_s:.2}/s"),
    }
}

/// What is left if it goes on as it went. Before the first request has ended, nothing is known of the rest.
fn left(done: u64, of: Option<u64>, elapsed: Duration, lang: Lang) -> String {
    let Some(more) = of.map(|of| of.saturating_sub(done)).filter(|_| done > 0) else { return String::new() };
    let left = Duration::from_secs_f64((elapsed.as_secs_f64() * more as f64 / done as f64).min(1e9));
    lang.pick(format!("{:#} left", HumanDuration(left)), format!("剩余 {:#}", HumanDuration(left)))
}

fn of_time(elapsed: Duration, duration: Option<Duration>, lang: Lang) -> String {
    let passed = elapsed.as_secs();
    match duration {
        Some(all) => {
            lang.pick(format!("{passed} of {} s", all.as_secs_f64()), format!("{passed}/{} 秒", all.as_secs_f64()))
        }
        None => lang.pick(format!("{passed} s"), format!("{passed} 秒")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_rests_are_of_the_whole_round() {
        let seconds = Duration::from_secs_f64;
        for (done, elapsed, want) in [(0, 5.0, "–/s"), (3, 2.0, "1.5/s"), (300, 2.0, "150/s"), (1, 8.0, "0.12/s")] {
            assert_eq!(rate(done, seconds(elapsed)), want);
        }
        assert_eq!(left(0, Some(5), seconds(9.0), Lang::En), "");
        assert_eq!(left(2, Some(8), seconds(10.0), Lang::En), "30s left");
        assert_eq!(of_time(seconds(12.7), Some(seconds(60.0)), Lang::En), "12 of 60 s");
        assert_eq!(of_time(seconds(12.7), Some(seconds(60.0)), Lang::Zh), "12/60 秒");
    }
}
