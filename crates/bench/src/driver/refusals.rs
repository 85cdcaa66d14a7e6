//! When a server counts as gone: it refuses one connection after the other, for a while.

use std::cell::Cell;

/// So many refusals in a row …
const IN_A_ROW: u32 = 50;
/// … of which the first is at least so long ago: many requests that are refused in the same moment are one moment.
const FOR_NS: u64 = 3_000_000_000;

/// Refused connections since the last good one.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    in_a_row: Cell<u32>,
    first_ns: Cell<u64>,
}

impl Refusals {
    /// A connection was refused, at this time.
    pub(super) fn refused(&self, now_ns: u64) {
        if self.in_a_row.get() == 0 {
            self.first_ns.set(now_ns);
        }
        self.in_a_row.set(self.in_a_row.get().saturating_add(1));
    }

    /// A connection was good.
    pub(super) fn connected(&self) {
        self.in_a_row.set(0);
    }

    /// How many in a row, once they are enough to call the server gone.
    pub(super) fn gone(&self, now_ns: u64) -> Option<u32> {
        let enough = self.in_a_row.get() >= IN_A_ROW && now_ns.saturating_sub(self.first_ns.get()) >= FOR_NS;
        enough.then_some(self.in_a_row.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_and_for_a_while() {
        let refusals = Refusals::default();
        (0..1000).for_each(|_| refusals.refused(10));
        assert_eq!(refusals.gone(10 + FOR_NS - 1), None);
        assert_eq!(refusals.gone(10 + FOR_NS), Some(1000));
        refusals.connected();
        (0..IN_A_ROW - 1).for_each(|_| refusals.refused(20));
        assert_eq!(refusals.gone(u64::MAX), None);
        refusals.refused(30);
        assert_eq!(refusals.gone(20 + FOR_NS), Some(IN_A_ROW));
    }
}
