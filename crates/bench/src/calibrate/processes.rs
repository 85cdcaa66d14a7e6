//! The two processes of a case: the server, then the client, both from this binary.

use super::case::Case;
use crate::own_server::{OwnServer, this_binary, wait};
use crate::words::{Words, as_said, words};
use measure::{Clock, Lang};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server that does not listen within this time never will.
const START_LIMIT: Duration = Duration::from_secs(20);
/// A client that takes longer than this and twice the time of its streams is stuck.
const RUN_LIMIT: Duration = Duration::from_secs(300);

/// Which cores each side gets. A child inherits those that this process has when it is started.
pub(super) struct Cores {
    all: Option<CpuSet>,
    server: Option<CpuSet>,
    client: Option<CpuSet>,
}

impl Cores {
    /// The first core that this process may use for the server, the others for the client.
    pub(super) fn find() -> Self {
        let Ok(all) = sched_getaffinity(Pid::from_raw(0)) else {
            return Self { all: None, server: None, client: None };
        };
        let usable: Vec<usize> = (0..CpuSet::count()).filter(|core| all.is_set(*core).unwrap_or(false)).collect();
        let Some((first, others)) = usable.split_first().filter(|(_, others)| !others.is_empty()) else {
            return Self { all: Some(all), server: None, client: None };
        };
        let set = |cores: &[usize]| {
            let mut set = CpuSet::new();
            cores.iter().try_for_each(|core| set.set(*core)).ok().map(|()| set)
        };
        Self { all: Some(all), server: set(&[*first]), client: set(others) }
    }

    /// Whether each side has cores of its own.
    pub(super) fn apart(&self) -> bool {
        self.server.is_some() && self.client.is_some()
    }

    /// Starts a child on some of the cores.
    fn spawn(&self, command: &mut Command, on: Option<&CpuSet>) -> std::io::Result<Child> {
        let set = |cores: Option<&CpuSet>| {
            // Without the right to choose, both run anywhere.
            cores.map(|cores| sched_setaffinity(Pid::from_raw(0), cores))
        };
        set(on);
        let child = command.spawn();
        set(self.all.as_ref());
        child
    }
}

/// A folder that goes with the case.
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub(super) fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("vlm-calibrate-{}-{}", std::process::id(), stamp::now_ns()));
        std::fs::create_dir(&path)?;
        Ok(Self { path })
    }

    /// The client's run.
    pub(super) fn run(&self) -> PathBuf {
        self.path.join("run")
    }

    /// The server's records.
    pub(super) fn truth(&self) -> PathBuf {
        self.path.join("truth.json")
    }

    /// Makes a certificate for loopback and its key.
    fn make_certificate(&self) -> Result<(), Words> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(as_said)?;
        std::fs::write(self.certificate(), made.cert.pem())
            .and_then(|()| std::fs::write(self.key(), made.signing_key.serialize_pem()))
            .map_err(as_said)
    }

    fn certificate(&self) -> PathBuf {
        self.path.join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.path.join("key.pem")
    }

    fn talk(&self, who: &str) -> std::io::Result<File> {
        File::create(self.path.join(who))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's cleaning of temporary files.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Starts the scripted server of one case, and waits until it listens.
pub(super) fn server(case: &Case, cores: &Cores, folder: &Scratch) -> Result<OwnServer, Words> {
    let mut command = OwnServer::command(["--scripted"])?;
    command.arg(format!("--prefill-ms={}", case.prefill_ms)).arg(format!("--interval-ms={}", case.interval_ms));
    command.arg(format!("--tokens={}", case.tokens)).arg("--truth-log").arg(folder.truth());
    command.args(case.event_bytes.map(|bytes| format!("--event-bytes={bytes}")));
    if case.tls {
        folder.make_certificate()?;
        command.arg("--ssl-certfile").arg(folder.certificate()).arg("--ssl-keyfile").arg(folder.key());
    }
    // A spinning server keeps its times, if the client has a core elsewhere.
    command.args(cores.apart().then_some("--spin"));
    let child = cores.spawn(&mut command, cores.server.as_ref()).map_err(as_said)?;
    OwnServer::of(child, START_LIMIT, None)
}

/// Runs the client of one case to its end.
pub(super) fn client(case: &Case, cores: &Cores, folder: &Scratch, url: &str) -> Result<(), Words> {
    let talk = folder.talk("client").map_err(as_said)?;
    let mut command = this_binary()?;
    command.arg(format!("--base-url={url}")).arg(format!("--batch-size={}", case.streams));
    command.args(["--prompt", "calibration", "--model", "scripted", "--ignore-eos"]);
    command.arg(format!("--output-len={}", case.tokens)).arg("--output-dir").arg(folder.run());
    if case.tls {
        command.arg("--cacert").arg(folder.certificate());
    }
    match case.image_mb {
        Some(mb) => command.arg(format!("--synthetic-image={}", noise(mb))),
        None => command.arg("--no-image"),
    };
    command.args((case.clock == Clock::User).then_some("--clock=user"));
    command.env_remove("OPENAI_API_KEY").stdin(Stdio::null()).stdout(Stdio::null()).stderr(talk);
    let mut child = cores.spawn(&mut command, cores.client.as_ref()).map_err(as_said)?;
    let run_ms = case.prefill_ms + case.tokens as f64 * case.interval_ms;
    let limit = RUN_LIMIT + Duration::from_secs_f64(2.0 * run_ms / 1e3);
    wait(&mut child, &words("the client", "客户端"), limit).map_err(|why| {
        let talk = std::fs::read_to_string(folder.path.join("client")).unwrap_or_default();
        let talk = talk.trim();
        words(format!("{why}\n{talk}"), format!("{}\n{talk}", why.text(Lang::Zh)))
    })
}

/// A noise image whose file has about so many MB: 3 bytes a pixel, which noise does not let shrink.
fn noise(mb: f64) -> String {
    let side = (mb * 1e6 / 3.0).sqrt().clamp(28.0, 8000.0) as u32;
    format!("noise:{side}x{side}")
}
