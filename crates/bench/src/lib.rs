//! The client: measures how fast and how right a vision-language server answers.
//!
//! `Args → Plan → (Workload, arrivals)`; the driver sends on a thread of its own and tapes what comes back; the recorder
//! turns tapes into records; `measure` turns records into figures. ARCHITECTURE.md has the map.

pub mod arrival;
#[cfg(target_os = "linux")]
pub mod calibrate;
pub mod cli;
pub mod commands;
pub mod counting;
pub mod driver;
#[cfg(target_os = "linux")]
pub mod embedded;
#[cfg(not(target_os = "linux"))]
#[path = "embedded_elsewhere.rs"]
pub mod embedded;
pub mod hints;
pub mod image;
pub mod net;
#[cfg(target_os = "linux")]
pub mod own_server;
pub mod plan;
pub mod proof;
pub mod recorder;
pub mod session;
pub mod stop;
pub mod store;
pub mod survey;
pub mod tokens;
pub mod usage;
pub mod view;
pub mod words;
pub mod workload;

/// Name and version, as records name what made them.
pub const TOOL: &str = concat!("vlm-benchmark ", env!("CARGO_PKG_VERSION"));
