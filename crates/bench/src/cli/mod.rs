//! The command line: what was typed, in either spelling, in either language.

mod args;
mod chinese;
mod faults;
mod spelling;
mod subcommands;
mod values;

pub(crate) use args::OUTPUT_LEN;
pub use args::{Cli, Command, RunArgs};
pub use faults::fault;
pub use spelling::{command, parse};
pub use subcommands::{
    BorderArg, CalibrateArgs, CompareArgs, CompareFormat, CompletionsArgs, ManArgs, ParseLogArgs, ReportArgs,
    ReportFormat, ScenesArgs, ServerArgs, SplitArg,
};
pub use values::{Arrivals, ImageAs, MaxTokensField, OverCap, PartOrder};
