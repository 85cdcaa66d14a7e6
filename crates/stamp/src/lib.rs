//! This machine's clocks in integer nanoseconds, and the kernel's receive times of a socket.
//!
//! One monotonic clock for all processes of a machine, so that the stamps of client and server compare. Knows no HTTP and
//! no runs.

mod receive;

pub use receive::{StampedRead, control_room, request_stamps, stamped_read};

use nix::time::{ClockId, clock_gettime};

/// Now on the monotonic clock, ns. One clock for all processes of a machine, so stamps of client and server compare.
#[must_use]
pub fn now_ns() -> u64 {
    read_ns(ClockId::CLOCK_MONOTONIC)
}

/// Now on the wall clock, ns since 1970.
#[must_use]
pub fn unix_ns() -> u64 {
    read_ns(ClockId::CLOCK_REALTIME)
}

/// Processor time of the whole process so far, ns.
#[must_use]
pub fn cpu_ns() -> u64 {
    read_ns(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

fn read_ns(clock: ClockId) -> u64 {
    // These clocks exist on every system this builds for; a failure can only be a wrong clock id.
    clock_gettime(clock).map_or(0, |time| {
        u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
    })
}

/// Wall clock minus monotonic clock, ns: the tightest of nine bracketed readings.
#[must_use]
pub fn wall_minus_monotonic_ns() -> i64 {
    let mut best = (u64::MAX, 0i64);
    for _ in 0..9 {
        let before = now_ns();
        let wall = unix_ns();
        let after = now_ns();
        let width = after - before;
        if width < best.0 {
            let middle = before + width / 2;
            best = (width, i64::try_from(wall).unwrap_or(i64::MAX) - i64::try_from(middle).unwrap_or(0));
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_carries_one_clock_to_the_other() {
        let offset = wall_minus_monotonic_ns();
        let (before, wall, after) = (now_ns(), unix_ns(), now_ns());
        let as_monotonic = i64::try_from(wall).unwrap() - offset;
        // The two readings of the offset and of the clocks are each good to the width of their brackets.
        assert!(as_monotonic >= i64::try_from(before).unwrap() - 1_000_000);
        assert!(as_monotonic <= i64::try_from(after).unwrap() + 1_000_000);
    }
}
