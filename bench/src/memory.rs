//! What the process holds.

/// The memory that the process holds, in MiB; 0 where there is no `/proc`.
pub(crate) fn resident_mib() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
            line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .unwrap_or_default()
        / 1024
}
