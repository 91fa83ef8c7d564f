//! How far it is: a bar on a terminal, else a line at each tenth.

use std::cell::Cell;
use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::complain;

/// How far the orders are.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    orders: u32,
    done: Cell<u32>,
}

impl Progress {
    /// Of so many orders.
    pub(super) fn of(orders: u32) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(orders.into());
            let style = "{bar:40} {human_pos} of {human_len} orders, {per_sec}, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            orders,
            done: Cell::new(0),
        }
    }

    /// One more.
    pub(super) fn step(&self) {
        let done = self.done.get() + 1;
        self.done.set(done);
        if let Some(bar) = &self.bar {
            bar.inc(1);
            return;
        }
        if tenths(done, self.orders) > tenths(done - 1, self.orders) {
            complain(&format!("{done} of {} orders", self.orders));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How many tenths of the whole are done.
fn tenths(done: u32, whole: u32) -> u64 {
    10 * u64::from(done) / u64::from(whole.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_are_told_whatever_the_size() {
        for whole in [10, 11, 60, 999, 1000] {
            let lines = (1..=whole).filter(|done| tenths(*done, whole) > tenths(done - 1, whole));
            assert_eq!(lines.count(), 10, "{whole}");
        }
        assert_eq!(tenths(3, 3), 10);
    }
}
