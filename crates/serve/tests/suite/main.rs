//! The server from outside, over sockets: what clients may do to it, and what it must not lose by that.

mod clients;
mod descriptors;
mod http;
mod memory;
mod records;
mod replies;
mod rig;
mod tls;
