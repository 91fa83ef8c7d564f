//! What the process computes: unlike the time that passes, it does not grow when others use the machine too.

use std::fs;
use std::time::Duration;

/// The kernel counts the time of a process in hundredths of a second, whatever its own clock does (USER_HZ, proc(5)).
const TICK: Duration = Duration::from_millis(10);

/// The time that all threads of this process have computed so far, its calls into the kernel included. `None` where
/// there is no `/proc`.
pub(crate) fn cpu_time() -> Option<Duration> {
    ticks(&fs::read_to_string("/proc/self/stat").ok()?).map(|ticks| TICK * ticks)
}

/// `utime` and `stime`: the 14th and the 15th field, counted behind the name, which may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let user: u32 = times.next()?.parse().ok()?;
    let system: u32 = times.next()?.parse().ok()?;
    user.checked_add(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_found_behind_any_name() {
        let stat = "42 (a) b) c) R 1 2 3 4 5 6 7 8 9 10 300 45 0 0 20 0";
        assert_eq!(ticks(stat), Some(345));
        assert_eq!(ticks("42 (bench) R 1 2"), None);
        assert_eq!(ticks(""), None);
    }
}
