//! The command line: what was typed, in either spelling, in either language.

mod args;
mod chinese;
mod spelling;

pub use args::{
    Arrivals, Cli, Command, ImageAs, MaxTokensField, OverCap, ParseLogArgs, PartOrder, ReportArgs, ReportFormat,
    RunArgs,
};
pub use spelling::{command, parse};
