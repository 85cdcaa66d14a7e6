//! The kernel's receive times, through a control message of `recvmsg` (`SO_TIMESTAMPNS`, Linux).

use std::io;

/// What one read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StampedRead {
    /// Bytes read; 0 at the end of the stream.
    pub bytes: usize,
    /// When the kernel had the last of them, ns on the wall clock; `None` where it did not tell.
    pub wall_ns: Option<u64>,
}

#[cfg(target_os = "linux")]
mod system {
    use super::{StampedRead, io};
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt::ReceiveTimestampns};
    use nix::sys::time::TimeSpec;
    use std::io::IoSliceMut;
    use std::os::fd::{AsFd, AsRawFd};

    /// Asks the kernel to stamp what this socket receives; whether it will.
    pub fn request_stamps(socket: &impl AsFd) -> bool {
        setsockopt(&socket.as_fd(), ReceiveTimestampns, &true).is_ok()
    }

    /// Room for the control message of one read.
    #[must_use]
    pub fn control_room() -> Vec<u8> {
        nix::cmsg_space!(TimeSpec)
    }

    /// Reads without waiting.
    ///
    /// # Errors
    /// The system's; `WouldBlock` when there is nothing.
    pub fn stamped_read(socket: &impl AsRawFd, room: &mut [u8], control: &mut [u8]) -> io::Result<StampedRead> {
        let mut parts = [IoSliceMut::new(room)];
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(control), MsgFlags::MSG_DONTWAIT)?;
        let time = message.cmsgs().ok().and_then(|mut controls| {
            controls.find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(time) => Some(time),
                _ => None,
            })
        });
        let wall_ns = time.and_then(|time| {
            Some(u64::try_from(time.tv_sec()).ok()? * 1_000_000_000 + u64::try_from(time.tv_nsec()).ok()?)
        });
        Ok(StampedRead { bytes: message.bytes, wall_ns })
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    //! Other kernels give no receive times for TCP: our own reads serve alone.

    use super::{StampedRead, io};

    /// Asks the kernel to stamp what this socket receives; whether it will.
    pub fn request_stamps<S>(_: &S) -> bool {
        false
    }

    /// Room for the control message of one read.
    #[must_use]
    pub fn control_room() -> Vec<u8> {
        Vec::new()
    }

    /// Reads without waiting.
    ///
    /// # Errors
    /// Always: there are no stamps here.
    pub fn stamped_read<S>(_: &S, _: &mut [u8], _: &mut [u8]) -> io::Result<StampedRead> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub use system::{control_room, request_stamps, stamped_read};

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_stamp_lies_between_the_write_and_the_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (receiver, _) = listener.accept().unwrap();
        receiver.set_nonblocking(true).unwrap();
        let mut control = control_room();
        let mut room = [0; 16];
        if !request_stamps(&receiver) {
            return;
        }
        // The kernel begins to stamp some time after it was asked.
        for _ in 0..200 {
            let before = crate::unix_ns();
            sender.write_all(b"x").unwrap();
            let read = loop {
                match stamped_read(&receiver, &mut room, &mut control) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                    other => break other.unwrap(),
                }
            };
            assert_eq!(read.bytes, 1);
            if let Some(wall_ns) = read.wall_ns {
                assert!((before..=crate::unix_ns()).contains(&wall_ns));
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("a kernel that takes the option stamps within a second");
    }
}
