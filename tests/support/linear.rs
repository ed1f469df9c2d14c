//! What a hostile input costs, as the processor time of this thread for a load and for ten times the load, so that a busy machine does not show.
//! What is linear takes about ten times as long, what is quadratic a hundred times.

use std::time::{Duration, Instant};

/// Where the kernel does not tell what this thread has used, time passes for all.
fn used(since: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|line| line.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| since.elapsed(), Duration::from_nanos)
}

/// `work` on `small`, and on ten times as much: the latter takes less than thirty times as long, at least once in three.
pub fn is_linear(what: &str, small: usize, mut work: impl FnMut(usize)) {
    let began = Instant::now();
    let mut once = |n: usize| {
        let before = used(began);
        work(n);
        used(began).saturating_sub(before)
    };
    // The kernel counts in ticks of a few milliseconds.
    let bound = 30 * once(small).max(once(small)).max(Duration::from_millis(5));
    let tens: Vec<Duration> = std::iter::repeat_with(|| once(10 * small)).take(3).take_while(|ten| *ten >= bound).collect();
    assert!(tens.len() < 3, "{what}: {small} take {:?}, and ten times as many {tens:?}", bound / 30);
}
