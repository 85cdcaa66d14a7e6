//! The records of a run: in memory until they are safely on the disk, and read back from there at the end, so that a long
//! load takes no more memory than a short one. It must not know what figures are made of them.

use crate::store::{LogReader, StoreError};
use measure::{Outcome, Phase, RequestRecord};

/// What the session holds of its requests.
pub(super) struct Records {
    held: Vec<RequestRecord>,
    /// The run's log, to read back what is no longer held. `None`: everything is held.
    log: Option<LogReader>,
    complete: u64,
    /// Requests of the warm-up and of the measured rounds so far.
    warmup: u64,
    measured: u64,
    complete_measured: u64,
}

impl Records {
    /// With a log that keeps every event of a record, records of the load are let go once they lie there.
    pub(super) fn new(log: Option<LogReader>) -> Self {
        Self { held: Vec::new(), log, complete: 0, warmup: 0, measured: 0, complete_measured: 0 }
    }

    pub(super) fn push(&mut self, record: RequestRecord) {
        let is_complete = record.outcome == Outcome::Complete;
        self.complete += u64::from(is_complete);
        self.warmup += u64::from(record.phase == Phase::Warmup);
        self.measured += u64::from(record.phase == Phase::Measured);
        self.complete_measured += u64::from(is_complete && record.phase == Phase::Measured);
        self.held.push(record);
    }

    /// Whether any request so far has been answered in full.
    pub(super) fn any_complete(&self) -> bool {
        self.complete > 0
    }

    /// Where the next round of this phase goes on in its list of requests: after all that there have been.
    pub(super) fn next_item(&self, phase: Phase) -> usize {
        let before = match phase {
            Phase::Warmup => self.warmup,
            Phase::Measured => self.measured,
            Phase::Accuracy | Phase::Preliminary | Phase::Proof => 0,
        };
        before as usize
    }

    /// How many requests so far have been answered in full.
    pub(super) fn complete(&self) -> u64 {
        self.complete
    }

    /// How many of the load have been answered in full.
    pub(super) fn complete_measured(&self) -> u64 {
        self.complete_measured
    }

    /// Requests outside the load (the first ones and the image proof's) from this number on.
    pub(super) fn apart_from_load(&self, index_first: u64) -> Vec<RequestRecord> {
        self.held.iter().filter(|record| !is_load(record) && record.index >= index_first).cloned().collect()
    }

    /// The system has taken everything written so far: what is on the disk need not be held.
    pub(super) fn flushed(&mut self) {
        if self.log.is_some() {
            self.held.retain(|record| !is_load(record));
        }
    }

    /// All of them by their numbers. Where the log cannot be read back, those that are held and the reason.
    pub(super) fn take(&mut self) -> (Vec<RequestRecord>, Option<StoreError>) {
        let mut records = std::mem::take(&mut self.held);
        let mut error = None;
        match self.log.take().map(LogReader::records) {
            Some(Ok(stored)) => {
                let held: std::collections::HashSet<u64> = records.iter().map(|record| record.index).collect();
                records.extend(stored.into_iter().filter(|record| !held.contains(&record.index)));
            }
            Some(Err(why)) => error = Some(why),
            None => {}
        }
        records.sort_by_key(|record| record.index);
        (records, error)
    }
}

/// Requests of the load can be many.
fn is_load(record: &RequestRecord) -> bool {
    matches!(record.phase, Phase::Measured | Phase::Warmup)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use measure::{ClientFacts, Clocks, Detail, Header, RunName, ServerFacts};

    fn store(folder: &std::path::Path, detail: Detail) -> Store {
        let header = Header {
            schema: measure::SCHEMA_VERSION,
            run: RunName::default(),
            plan: serde_json::Value::Null,
            ignore_eos: false,
            detail,
            server: ServerFacts::default(),
            client: ClientFacts::default(),
            clocks: Clocks::default(),
            images: Vec::new(),
            expected_image_tokens: Vec::new(),
            prompts: Vec::new(),
            expectations: Vec::new(),
        };
        Store::create(folder.to_owned(), &header).unwrap()
    }

    /// Six requests, the first outside the load; a flush after the fifth, and the folder is gone before the end.
    fn check(detail: Detail, held_after_flush: usize) {
        let home = tempfile::TempDir::new().unwrap();
        let folder = home.path().join("run");
        let mut store = store(&folder, detail);
        let mut records = Records::new(store.reader().unwrap());
        for index in 0..6 {
            let phase = if index == 0 { Phase::Accuracy } else { Phase::Measured };
            let record = RequestRecord { max_tokens: 100 + index, ..RequestRecord::planned(index, phase) };
            store.record(&record).unwrap();
            records.push(record);
            if index == 4 {
                store.flush().unwrap();
                records.flushed();
                assert_eq!(records.held.len(), held_after_flush);
            }
        }
        std::fs::remove_dir_all(&folder).unwrap();
        let (all, error) = records.take();
        assert!(error.is_none());
        let tokens: Vec<(u64, u64)> = all.iter().map(|record| (record.index, record.max_tokens)).collect();
        assert_eq!(tokens, [(0, 100), (1, 101), (2, 102), (3, 103), (4, 104), (5, 105)]);
    }

    #[test]
    fn what_is_on_the_disk_is_let_go_and_comes_back() {
        check(Detail::Stamps, 1);
        check(Detail::Text, 1);
        // Its log lacks the events between: nothing can be let go.
        check(Detail::Summary, 5);
    }

    #[test]
    fn a_log_that_cannot_be_read_back_leaves_what_is_held() {
        let home = tempfile::TempDir::new().unwrap();
        let mut store = store(&home.path().join("run"), Detail::Stamps);
        let mut records = Records::new(store.reader().unwrap());
        let record = RequestRecord::planned(0, Phase::Measured);
        store.record(&record).unwrap();
        store.flush().unwrap();
        records.flushed();
        std::fs::write(store.folder().join(crate::store::LOG_NAME), "not a log\n").unwrap();
        records.push(RequestRecord::planned(1, Phase::Measured));
        let (held, error) = records.take();
        assert_eq!(held.iter().map(|record| record.index).collect::<Vec<_>>(), [1]);
        assert!(error.is_some_and(|error| error.to_string().contains("run.jsonl")));
    }
}
