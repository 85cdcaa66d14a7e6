//! tmp
#![expect(dead_code, reason = "tmp")]
mod error;
mod kernel;
mod linear;
mod threads;
pub use error::Error;
