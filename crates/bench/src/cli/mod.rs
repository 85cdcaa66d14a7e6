//! The command line: what was typed, in either spelling, in either language.

mod args;
mod chinese;
mod faults;
mod spelling;

pub use args::{
    Arrivals, Cli, Command, ImageAs, MaxTokensField, OverCap, ParseLogArgs, PartOrder, ReportArgs, ReportFormat,
    RunArgs,
};
pub use faults::fault;
pub use spelling::{command, parse};
