//! Many declarations changed at once, as a GitOps controller does it: enforcement first, and what is told of it when they pause.
//! Each status that is written meanwhile takes from the API server what the next declaration needs to come through.

use std::time::Duration;

use tokio::time::Instant;

/// So many in a row are many; of fewer each is told at once.
const MANY: u32 = 16;
/// They have paused when none came for so long.
const PAUSE: Duration = Duration::from_millis(500);
/// And then it is told all the same: half of what P6 promises.
const MOST: Duration = Duration::from_secs(15);

/// Declarations that came in a row.
#[derive(Debug, Default)]
pub struct Tide(Option<Row>);

#[derive(Clone, Copy, Debug)]
struct Row {
    first: Instant,
    last: Instant,
    count: u32,
}

impl Tide {
    /// A declaration came, new or with another spec.
    pub fn comes(&mut self, now: Instant) {
        let row = self.0.filter(|row| now < row.last + PAUSE);
        self.0 = Some(row.map_or(Row { first: now, last: now, count: 1 }, |row| Row { last: now, count: row.count.saturating_add(1), ..row }));
    }

    /// Until when, as far as is known now, statuses wait; `None` where they do not.
    pub fn holds(&self, now: Instant) -> Option<Instant> {
        let row = self.0.filter(|row| row.count >= MANY)?;
        Some((row.last + PAUSE).min(row.first + MOST)).filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_told_at_once_and_many_when_they_pause() {
        let (start, mut tide) = (Instant::now(), Tide::default());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(tide.holds(start), None);
        for i in 0..15 {
            tide.comes(at(i * 10));
        }
        assert_eq!(tide.holds(at(140)), None, "fifteen are few");
        tide.comes(at(150));
        assert_eq!(tide.holds(at(150)), Some(at(650)));
        assert_eq!(tide.holds(at(650)), None, "they paused");
        tide.comes(at(700));
        assert_eq!(tide.holds(at(700)), None, "one that comes later begins anew");
    }

    #[test]
    fn those_that_never_pause_hold_nothing_up_for_longer_than_half_of_what_is_promised() {
        let (start, mut tide) = (Instant::now(), Tide::default());
        let seconds = |tenths: u64| start + Duration::from_millis(100 * tenths);
        for tenth in 0_u64..=600 {
            tide.comes(seconds(tenth));
            assert_eq!(tide.holds(seconds(tenth)).is_some(), (15..150).contains(&tenth), "{tenth}");
        }
    }
}
