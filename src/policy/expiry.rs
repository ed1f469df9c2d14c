//! When the end of a certificate is worth a word, and which: a pure function of its validity and now.
//! Renewing happens before; so whatever is told here was not renewed.

use jiff::Timestamp;

/// The days that are told, each once.
const NOTICES: [i64; 3] = [1, 7, 30];
const DAY: i64 = 24 * 60 * 60;

/// What ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The certificate that the webhook serves.
    Certificate,
    /// The authority that the API server trusts by the caBundle: the last of them, where there are two.
    Authority,
}

/// From when until when a certificate is valid, in seconds since 1970.
pub type Validity = (i64, i64);

/// An end that is near, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What ends.
    pub whose: Whose,
    /// When.
    pub until: Timestamp,
    /// Fewer days than so many are left: 30, 7 or 1; 0 when it is over.
    pub days: i64,
}

impl Ending {
    /// Nothing as long as more than a quarter of the whole is left: whoever renews does so when a third is, and one that lives for a day only
    /// would be told all its life.
    pub fn of(whose: Whose, (from, until): Validity, now: Timestamp) -> Option<Self> {
        let left = until.saturating_sub(now.as_second());
        let ending = |days| Some(Self { whose, until: Timestamp::from_second(until).unwrap_or(Timestamp::MAX), days });
        if left <= 0 {
            return ending(0);
        }
        let late = left.saturating_mul(4) < until.saturating_sub(from);
        NOTICES.into_iter().find(|days| late && left < days * DAY).and_then(ending)
    }

    /// Nothing is left.
    pub const fn over(&self) -> bool {
        self.days == 0
    }

    /// In one word.
    pub const fn reason(&self) -> &'static str {
        match (self.whose, self.over()) {
            (Whose::Certificate, false) => "CertificateExpiring",
            (Whose::Certificate, true) => "CertificateExpired",
            (Whose::Authority, false) => "CAExpiring",
            (Whose::Authority, true) => "CAExpired",
        }
    }

    /// In a sentence that stays the same as the end comes nearer: a status is written when it changes.
    pub fn message(&self) -> String {
        let what = match self.whose {
            Whose::Certificate => "the webhook's certificate",
            Whose::Authority => "the authority in the webhook's caBundle",
        };
        let until = self.until.strftime("%F");
        if self.over() {
            format!("{what} ended on {until}: the API server trusts it no more, so nothing new is admitted")
        } else {
            format!("{what} ends on {until} and was not renewed; after that nothing new is admitted")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_at_thirty_seven_and_one_day_and_when_it_is_over() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let at = |left: i64| now.as_second() + left;
        for (what, lasts, left, expected) in [
            ("a year, fresh", 365 * DAY, 364 * DAY, None),
            ("a year, to the second", 365 * DAY, 30 * DAY, None),
            ("a year, less than a month left", 365 * DAY, 30 * DAY - 1, Some(30)),
            ("a week", 365 * DAY, 7 * DAY, Some(30)),
            ("less than a week", 365 * DAY, 7 * DAY - 1, Some(7)),
            ("a day", 365 * DAY, DAY, Some(7)),
            ("less than a day", 365 * DAY, DAY - 1, Some(1)),
            ("a second", 365 * DAY, 1, Some(1)),
            ("over", 365 * DAY, 0, Some(0)),
            ("long over", 365 * DAY, -400 * DAY, Some(0)),
            ("ninety days, as renewing is due", 90 * DAY, 30 * DAY - 1, None),
            ("ninety days, and it was not renewed", 90 * DAY, 22 * DAY, Some(30)),
            ("a day's, in the middle of it", DAY, DAY / 2, None),
            ("a day's, near its end", DAY, DAY / 5, Some(1)),
            ("nonsense: it ends before it begins", -DAY, DAY, None),
            ("nonsense: over before it begins", -DAY, -DAY, Some(0)),
        ] {
            for whose in [Whose::Certificate, Whose::Authority] {
                let found = Ending::of(whose, (at(left - lasts), at(left)), now);
                assert_eq!(found.map(|e| e.days), expected, "{what}");
            }
        }
        for (from, until) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (0, i64::MAX), (i64::MIN, i64::MIN)] {
            let found = Ending::of(Whose::Authority, (from, until), now);
            assert_eq!(found.is_some(), until < 0, "{from} {until}");
        }
    }

    #[test]
    fn the_sentence_changes_only_when_it_is_over() {
        let ending = |whose, days| Ending { whose, until: "2026-07-01T12:00:00Z".parse().unwrap(), days };
        let (month, day, over) = (ending(Whose::Certificate, 30), ending(Whose::Certificate, 1), ending(Whose::Certificate, 0));
        assert_eq!((month.message(), month.reason()), (day.message(), "CertificateExpiring"));
        assert_eq!(over.reason(), "CertificateExpired");
        assert!(month.message().contains("ends on 2026-07-01") && over.message().contains("ended on 2026-07-01"));
        assert_eq!(ending(Whose::Authority, 7).reason(), "CAExpiring");
        assert_eq!(ending(Whose::Authority, 0).reason(), "CAExpired");
    }
}
