//! HTTP around a backend: the server side of the protocol that `vlm-benchmark` speaks.
//!
//! [`App`] is one thread with an event loop: connections, routes, and writes at exact times. [`validate`] turns what came
//! into what a [`Backend`] may rely on. [`ScriptedBackend`] answers from a [`Script`], faults included: the test rig of
//! the client, and a server with known send times.

mod app;
mod backend;
pub mod cli;
mod composer;
mod http;
mod image_size;
mod reply;
mod rig;
mod script;
mod scripted;
mod validate;

pub use app::{App, Listening, Record, ServeError, StopHandle, WriteStamp};
pub use backend::{Arrival, Backend, Output, Pieces, ReplySink};
pub use rig::ScriptedServer;
pub use script::{
    Fault, FaultKind, FinishPlace, HttpReply, ImageBilling, LineEnd, RawReply, Reply, Rule, Script, ScriptError,
    StreamReply, UsagePlace, When,
};
pub use scripted::ScriptedBackend;
pub use validate::{ApiError, ValidRequest, validate};
