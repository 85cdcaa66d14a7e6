//! Which sequences compute what, step by step: continuous batching over a pool of key-value blocks.
//! It must not know tensors, clocks, channels or text: what a step computed comes in as token ids.

mod encoder;
mod free_list;
mod plan;
mod pool;
mod scheduler;
mod sequence;

pub use plan::{EncodeTask, Event, Finish, ImageRows, SequenceId, StepEntry, StepOutput, StepPlan};
pub use pool::{BlockLease, BlockPool};
pub use scheduler::{ScheduleError, Scheduler, SchedulerConfig, SchedulerStats};
pub use sequence::{NewSequence, StopRules};
