//! HTTP/1.1 over an IO of our own that stamps every write and every read.
//!
//! Knows connections, bytes and times; it must not know what the bytes mean beyond "is this more than a role".

mod body;
mod connect;
mod connect_error;
mod exchange;
mod fetch;
mod headers;
mod io;
mod stamped;
mod target;
mod timer;
mod tls;
mod unsent;

pub use body::{BodyParts, PartsBody};
pub use connect::{Conn, Connector};
pub use connect_error::{ConnectError, Peer, Step};
pub use exchange::{Ending, Limits, Mark, Progress, Segment, Tape, exchange};
pub use fetch::{Fetch, FetchError, Reply, fetch};
pub use headers::overridden;
pub use stamped::{StampedIo, Stamps, kernel_stamps_work};
pub use target::{Target, TargetError};
pub use timer::Timer;
pub use tls::{TlsError, TlsOptions, client_config};
