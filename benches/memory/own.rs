//! What this process takes of the memory, in bytes.

/// Now.
pub(crate) fn resident() -> u64 {
    status("VmRSS:")
}

/// At most, since it began.
pub(crate) fn most_resident() -> u64 {
    status("VmHWM:")
}

fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}
