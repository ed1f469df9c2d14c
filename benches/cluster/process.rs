//! What Linux says of a process: the processor time that it took, and the memory that it holds and held at most.
//! Read from outside, so that what is measured runs as it always does.

/// User and system time so far, in seconds. A tick is 10 ms.
pub fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The second field is the name, in brackets, and may hold anything.
    let ticks: f64 = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2).map(|n| n.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

fn memory(pid: u32, field: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// MiB that it holds.
pub fn resident(pid: u32) -> f64 {
    memory(pid, "VmRSS").unwrap()
}

/// MiB that it held at most; `None` once it has ended.
pub fn peak(pid: u32) -> Option<f64> {
    memory(pid, "VmHWM")
}

/// What it holds at most is counted from now on.
pub fn forget_peak(pid: u32) {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}
