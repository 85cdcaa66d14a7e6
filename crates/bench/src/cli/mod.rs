//! The command line: what was typed, in either spelling, in either language.

mod args;
mod chinese;
mod faults;
mod spelling;
mod subcommands;

pub use args::{Arrivals, Cli, Command, ImageAs, MaxTokensField, OverCap, PartOrder, RunArgs};
pub use faults::fault;
pub use spelling::{command, parse};
pub use subcommands::{
    BorderArg, CalibrateArgs, ParseLogArgs, ReportArgs, ReportFormat, ScenesArgs, ServerArgs, SplitArg,
};
