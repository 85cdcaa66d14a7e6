//! `calibrate`: how far this client's figures lie from the truth, on this machine.
//!
//! A scripted server, a process of its own on cores of its own where there are any, stamps every event beside its write. The
//! ordinary client, another process, loads it and leaves its run's folder. Both use one monotonic clock, so each request's figures can
//! be held against what happened. It must not know how either side measures.

use crate::cli::CalibrateArgs;
use crate::session::Failure;
use crate::view::View;
use crate::words::{Words, as_said, words};
use case::{Case, cases};
use measure::Lang;
use serde::Serialize;
use std::io::Write;
use truth::{Errors, errors};

mod case;
mod processes;
mod table;
mod truth;

/// A claim is one about 99 of 100 requests.
const CLAIM_PERCENT_MIN: f64 = 99.0;

/// What one case showed.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was done.
    pub case: Case,
    /// Reported less true, over the requests and gaps of the run.
    pub errors: Errors,
    /// Token events a second while the streams were answering.
    pub events_per_s: Option<f64>,
    /// Processor time of the client for each event, µs, everything counted: start, recording, files.
    pub cpu_us_per_event: Option<f64>,
    /// Processor time of the client for the whole run, s.
    pub cpu_s: Option<f64>,
    /// Largest resident size of the client, MB.
    pub rss_mb: Option<f64>,
    /// What the run said of its own figures.
    pub claimed_us: Option<f64>,
    /// How many of 100 TTFTs keep to it: at least 99 must.
    pub within_claim_percent: Option<f64>,
}

/// The whole calibration.
#[derive(Debug, Clone, Serialize)]
pub struct Calibration {
    /// Program and version.
    pub tool: String,
    /// The machine.
    pub client: measure::ClientFacts,
    /// Whether the server had cores of its own.
    pub cores_apart: bool,
    /// One for each case.
    pub rows: Vec<Row>,
}

/// Runs the cases and prints the table, or JSON.
///
/// # Errors
/// [`Failure`]: a server or a client that could not be started, or left no records.
pub fn run(args: &CalibrateArgs, lang: Lang) -> Result<u8, Failure> {
    let view = View::new(lang);
    let cores = processes::Cores::find();
    if !cores.apart() {
        view.say(lang.pick(
            "caution: there is one core only: server and client share it, and the errors are those of a disturbed client",
            "注意：只有一个核，服务端与客户端共用，误差是受干扰时的误差",
        ));
    }
    let cases = cases(args);
    let mut rows = Vec::with_capacity(cases.len());
    for (number, case) in cases.iter().enumerate() {
        view.say(format!("{}/{}: {}", number + 1, cases.len(), case.name(lang)));
        let row = one(case, &cores, lang)?;
        if row.within_claim_percent.is_some_and(|percent| percent < CLAIM_PERCENT_MIN) {
            view.say(lang.pick(
                "caution: here the run was further from the truth than it said of itself: trust no run like it on this machine",
                "注意：此情形下实际误差超过该次运行的声明：本机上同类运行的数字不可信",
            ));
        }
        rows.push(row);
    }
    let calibration = Calibration {
        tool: crate::TOOL.into(),
        client: crate::survey::client_facts(crate::net::kernel_stamps_work().0),
        cores_apart: cores.apart(),
        rows,
    };
    let text = if args.json {
        String::from_utf8_lossy(&crate::store::pretty(&calibration)).into_owned()
    } else {
        table::text(&calibration, lang)
    };
    let mut out = std::io::stdout().lock();
    // A reader that has gone needs no table.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(0)
}

fn one(case: &Case, cores: &processes::Cores, lang: Lang) -> Result<Row, Failure> {
    let broken =
        |why: Words| Failure { status: 1, text: format!("calibrate ({}): {}", case.name(lang), why.text(lang)) };
    let folder = processes::Scratch::new().map_err(|error| broken(as_said(error)))?;
    let server = processes::server(case, cores, &folder).map_err(broken)?;
    let done = processes::client(case, cores, &folder, server.url());
    // The server's records are written when it ends.
    let ended = server.stop();
    done.and(ended).map_err(broken)?;
    let log = crate::store::read_run(&folder.run())
        .map_err(|error| broken(words(error.to_string(), error.text(Lang::Zh))))?;
    let truth = truth::read(&folder.truth()).map_err(|why| broken(as_said(why)))?;
    let errors = errors(&log, &truth, case.clock).map_err(|why| broken(as_said(why)))?;
    let summary = measure::RunSummary::of(&log, &measure::Summarise::as_planned(&log.header));
    let events = errors.events;
    let footer = log.footer.as_ref();
    let cpu_ns = footer.and_then(|footer| footer.client_cpu_ns);
    // With images the errors are those of the TTFT net of upload.
    let client = &summary.client;
    let claimed_us = if case.image_mb.is_some() { client.net_of_upload_bound_us } else { client.ttft_bound_us };
    Ok(Row {
        case: case.clone(),
        events_per_s: errors.events_per_s,
        cpu_us_per_event: cpu_ns.filter(|_| events > 0).map(|ns| ns as f64 / 1e3 / events as f64),
        cpu_s: cpu_ns.map(|ns| ns as f64 / 1e9),
        rss_mb: footer.and_then(|footer| footer.client_rss_bytes_max).map(|bytes| bytes as f64 / 1e6),
        claimed_us,
        within_claim_percent: claimed_us.and_then(|bound| errors.percent_within(bound)),
        errors,
    })
}
