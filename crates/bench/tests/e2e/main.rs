//! The real client binary against the scripted server: expected figures are arithmetic, expected bytes are the script's.

mod answers;
mod compare;
mod connections;
#[cfg(target_os = "linux")]
mod embedded;
mod events;
mod fidelity;
mod grading;
mod images;
mod load;
mod outcomes;
mod parse_log;
mod replay;
mod report;
mod rig;
mod scenes;
mod script_contract;
mod shell;
mod store;
mod wire_details;
