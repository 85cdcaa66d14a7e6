//! HTTP around a backend: the server side of the protocol that `vlm-benchmark` speaks.
//!
//! [`Listening`] becomes one thread with an event loop: connections, routes, and writes at exact times. What came is turned
//! into the [`ValidRequest`] that a [`Backend`] may rely on. [`EngineBackend`] answers with a model. [`ScriptedBackend`] answers from a [`Script`], faults included: the test rig of
//! the client, and a server with known send times.

mod app;
mod backend;
pub mod cli;
mod command;
mod composer;
mod engine_backend;
mod error;
mod http;
mod image_size;
mod loading;
mod lock;
mod manual;
mod reply;
mod rig;
mod script;
mod scripted;
mod shapes;
mod validate;

pub use app::{Keep, Limits, Listening, Record, StopHandle, WriteStamp};
pub use backend::{Arrival, Backend, Call, Output, Pieces, ReplySink};
pub use command::main;
pub use engine_backend::{EngineBackend, ModelParts, RemoteRules, ServeOptions, TextSide};
pub use error::ServeError;
pub use rig::ScriptedServer;
pub use script::{
    Fault, FaultKind, FinishPlace, HttpReply, ImageBilling, LineEnd, RawReply, Reply, Rule, Script, StreamReply,
    UsagePlace, When,
};
pub use scripted::ScriptedBackend;
pub use validate::{ApiError, ValidRequest};
