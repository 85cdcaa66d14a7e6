//! The run's folder: `run.jsonl` as the requests end, the rest at the end.

use measure::{Detail, Footer, Header, Lang, Line, LogError, LogParser, RequestRecord, RunLog, RunSummary, Summarise};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Records reach the disk at least this often.
const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// The name of the log in a run's folder.
pub const LOG_NAME: &str = "run.jsonl";

/// Why a folder cannot be used, a file not be written or a run not be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder holds a run already.
    #[error("{0} holds a run already, and nothing measured is overwritten: give another --output-dir")]
    Occupied(PathBuf),
    /// No folder for the user's state.
    #[error("no folder for the run's files: HOME is not set; give --output-dir, or --no-save")]
    NoHome,
    /// The system refuses.
    #[error("{path}: {why}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        why: std::io::Error,
    },
    /// There is no run to read.
    #[error("{path}: a run's folder, or its run.jsonl, is expected: {why}")]
    NoRun {
        /// The log that was looked for.
        path: PathBuf,
        /// The system's words.
        why: std::io::Error,
    },
    /// A run's log that cannot be read.
    #[error("{path}: {why}")]
    Log {
        /// The log.
        path: PathBuf,
        /// What is wrong with it.
        why: LogError,
    },
}

impl StoreError {
    /// The error in one language; the system's words are the system's.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        match (self, lang) {
            (Self::Occupied(folder), Lang::Zh) => {
                format!("{} 中已有一次运行，测量结果不会被覆盖：请给出另一个 --output-dir", folder.display())
            }
            (Self::NoHome, Lang::Zh) => "没有存放运行文件的目录：未设置 HOME；请给出 --output-dir 或 --no-save".into(),
            (Self::NoRun { path, why }, Lang::Zh) => {
                format!("{}：应为运行目录，或其中的 run.jsonl：{why}", path.display())
            }
            (Self::Log { path, why }, lang) => format!("{}: {}", path.display(), why.text(lang)),
            _ => self.to_string(),
        }
    }
}

fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError + '_ {
    move |why| StoreError::Io { path: path.to_owned(), why }
}

/// A run's folder, open for writing.
pub struct Store {
    folder: PathBuf,
    log: BufWriter<File>,
    flushed: Instant,
    detail: Detail,
}

impl Store {
    /// Makes the folder and begins the log.
    ///
    /// # Errors
    /// [`StoreError`], before anything is sent.
    pub fn create(folder: PathBuf, header: &Header) -> Result<Self, StoreError> {
        let path = folder.join(LOG_NAME);
        if path.exists() {
            return Err(StoreError::Occupied(folder));
        }
        std::fs::create_dir_all(&folder).map_err(io_error(&folder))?;
        let file = File::options().write(true).create_new(true).open(&path).map_err(io_error(&path))?;
        let mut store = Self { folder, log: BufWriter::new(file), flushed: Instant::now(), detail: header.detail };
        store.line(&Line::Header(Box::new(header.clone())))?;
        store.flush()?;
        Ok(store)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The log for reading it back, from its begin, whatever becomes of its name; `None` where it does not keep every event.
    ///
    /// # Errors
    /// When the system refuses to open it.
    pub fn reader(&self) -> Result<Option<LogReader>, StoreError> {
        if self.detail == Detail::Summary {
            return Ok(None);
        }
        let path = self.folder.join(LOG_NAME);
        let file = File::open(&path).map_err(io_error(&path))?;
        Ok(Some(LogReader { path, file }))
    }

    /// Appends a request, at the detail asked for.
    ///
    /// # Errors
    /// When the system refuses to write.
    pub fn record(&mut self, record: &RequestRecord) -> Result<(), StoreError> {
        let mut record = record.clone();
        if self.detail == Detail::Summary {
            record.leave_out_events();
        }
        self.line(&Line::Request(Box::new(record)))
    }

    /// Flushes when it is time; whether it was.
    ///
    /// # Errors
    /// When the system refuses to write.
    pub fn tick(&mut self) -> Result<bool, StoreError> {
        let due = self.flushed.elapsed() >= FLUSH_EVERY;
        if due { self.flush().map(|()| true) } else { Ok(false) }
    }

    /// Ends the log and writes `summary.json`, `requests.csv`, `block.txt` and, if asked for, `vllm-bench.json`.
    ///
    /// # Errors
    /// When the system refuses to write.
    pub fn finish(
        &mut self,
        footer: &Footer,
        log: &RunLog,
        summary: &RunSummary,
        how: &Summarise,
        extras: &Extras,
    ) -> Result<(), StoreError> {
        self.line(&Line::Footer(Box::new(footer.clone())))?;
        self.flush()?;
        self.write("block.txt", measure::block(summary).as_bytes())?;
        self.write("summary.json", &pretty(summary))?;
        self.write("requests.csv", &csv_bytes(&measure::requests_csv(log, how), extras.bom))?;
        if let Some(date) = &extras.vllm_date {
            self.write("vllm-bench.json", &pretty(&measure::vllm_json(log, summary, how, date)))?;
        }
        Ok(())
    }

    fn line(&mut self, line: &Line) -> Result<(), StoreError> {
        let path = self.folder.join(LOG_NAME);
        serde_json::to_writer(&mut self.log, line)
            .map_err(std::io::Error::from)
            .and_then(|()| self.log.write_all(b"\n"))
            .map_err(io_error(&path))
    }

    /// Hands everything written so far to the system.
    ///
    /// # Errors
    /// When the system refuses to write.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.flushed = Instant::now();
        self.log.flush().map_err(io_error(&self.folder.join(LOG_NAME)))
    }

    /// A whole file at once: under another name first, so that no half file ever has the real one.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let (path, draft) = (self.folder.join(name), self.folder.join(format!(".{name}.part")));
        std::fs::write(&draft, bytes).and_then(|()| std::fs::rename(&draft, &path)).map_err(io_error(&path))
    }
}

/// A run's log, open for reading while it is written.
pub struct LogReader {
    path: PathBuf,
    file: File,
}

impl LogReader {
    /// The records that the system has taken so far.
    ///
    /// # Errors
    /// [`StoreError::Io`] and [`StoreError::Log`].
    pub fn records(self) -> Result<Vec<RequestRecord>, StoreError> {
        let Self { path, file } = self;
        parse(&path, file).map(|log| log.records)
    }
}

/// Line by line: a long run's log is no text to hold in memory beside its records.
fn parse(path: &Path, log: impl Read) -> Result<RunLog, StoreError> {
    let (mut parser, mut log, mut line) = (LogParser::default(), BufReader::with_capacity(1 << 18, log), Vec::new());
    let bad = |why| StoreError::Log { path: path.to_owned(), why };
    while log.read_until(b'\n', &mut line).map_err(io_error(path))? > 0 {
        parser.line(&line).map_err(bad)?;
        line.clear();
    }
    parser.finish().map_err(bad)
}

/// What a run's folder may hold beyond the usual.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// Byte order mark in the CSV.
    pub bom: bool,
    /// The date in the JSON of vllm bench serve; `None`: that file is not written.
    pub vllm_date: Option<String>,
}

/// Indented JSON with a line end.
#[must_use]
pub fn pretty(value: &impl serde::Serialize) -> Vec<u8> {
    // Our own types always have a JSON form.
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// CSV (RFC 4180), with a byte order mark for Excel if asked for.
#[must_use]
pub fn csv_bytes(rows: &[Vec<String>], bom: bool) -> Vec<u8> {
    let mut bytes = if bom { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(&mut bytes);
    for row in rows {
        // A Vec never refuses.
        let _ = writer.write_record(row);
    }
    let _ = writer.flush();
    drop(writer);
    bytes
}

/// A new folder in the user's state folder (XDG base directories): `vlm-benchmark/runs/<time>-<process>`.
///
/// # Errors
/// When there is no home.
pub fn default_folder(stamp: &str) -> Result<PathBuf, StoreError> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = from("XDG_STATE_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".local/state")))
        .ok_or(StoreError::NoHome)?;
    Ok(state.join("vlm-benchmark/runs").join(format!("{stamp}-{}", std::process::id())))
}

/// Reads a run's log from its folder, or from the file itself.
///
/// # Errors
/// [`StoreError::NoRun`] and [`StoreError::Log`].
pub fn read_run(path: &Path) -> Result<RunLog, StoreError> {
    let path = if path.is_dir() { path.join(LOG_NAME) } else { path.to_owned() };
    match File::open(&path) {
        Ok(file) => parse(&path, file),
        Err(why) => Err(StoreError::NoRun { path, why }),
    }
}
