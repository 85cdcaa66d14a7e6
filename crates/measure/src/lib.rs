//! What a benchmark run means: records → metrics → summary → report.
//!
//! Pure: everything here is computed from the raw records of a run. It must not know sockets, files, clocks or how a
//! request is sent. A missing value is `None` and is counted; it never enters a figure as 0.

mod block;
mod caution;
mod compare;
mod csv;
mod estimate;
mod event;
mod expect;
pub mod image;
mod lang;
mod metric;
pub mod parse_log;
mod record;
mod report;
mod runlog;
mod sample;
mod summary;
mod timeline;
mod vllm_json;

pub use block::block;
pub use caution::{Caution, Unproved, WarmCache};
pub use compare::{
    ComparedAnswers, ComparedFigure, ComparedRun, Comparison, Difference, DifferingAnswer, Intervals, Ratio,
};
pub use csv::requests_csv;
pub use estimate::{Estimate, Interval};
pub use event::{EventKind, EventStamp};
pub use expect::{Expectation, ExpectedFact};
pub use lang::Lang;
pub use metric::{METRICS, Metric};
pub use record::{Connection, Degenerate, Outcome, Phase, RequestRecord, TimeLimit, TokenUsage};
pub use report::report;
pub use runlog::{
    ClientFacts, Clocks, Detail, Footer, Header, ImageProof, Line, LogError, LogParser, PromptFacts, ProofVerdict,
    RunLog, RunName, SCHEMA_VERSION, ServerFacts, ServerTime, TextTokens,
};
pub use sample::Sample;
pub use summary::{
    BoundBy, ClientState, ClientVerdict, Counts, Goodput, Grade, MetricSummary, RunFacts, RunLimit, RunSummary,
    ServerName, SloLimit, SloResult, Statistic, Summarise, Tally, Throughput, Totals, WrongAnswer,
};
pub use timeline::{Clock, Definitions, Timeline};
pub use vllm_json::vllm_json;
