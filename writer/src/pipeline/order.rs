//! Gives items back in the order of their tickets, whoever finished first.

use std::collections::BTreeMap;

/// Items that came before their turn. How many there can be is bounded by who hands out the tickets.
#[derive(Debug)]
pub(super) struct InOrder<T> {
    next: u64,
    waiting: BTreeMap<u64, T>,
}

impl<T> InOrder<T> {
    /// Starts with ticket 0.
    pub(super) fn new() -> Self {
        InOrder { next: 0, waiting: BTreeMap::new() }
    }

    /// Adds the item with `ticket`.
    pub(super) fn put(&mut self, ticket: u64, item: T) {
        debug_assert!(ticket >= self.next, "a ticket is used once");
        self.waiting.insert(ticket, item);
    }

    /// Returns the item whose turn it is, if it is there.
    pub(super) fn pop(&mut self) -> Option<(u64, T)> {
        let item = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some((self.next - 1, item))
    }

    /// Returns the item whose turn it is, if it is there, and leaves it.
    pub(super) fn peek(&self) -> Option<&T> {
        self.waiting.get(&self.next)
    }

    /// Returns whether no item waits for its turn.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the ticket whose turn it is.
    pub(super) fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_leave_in_the_order_of_their_tickets() {
        let mut order = InOrder::new();
        let mut left = Vec::new();
        for ticket in [2, 0, 3, 1] {
            order.put(ticket, ());
            left.extend(std::iter::from_fn(|| order.pop()).map(|(ticket, ())| ticket));
        }
        assert_eq!(left, [0, 1, 2, 3]);
        assert_eq!(order.next(), 4);
    }
}
