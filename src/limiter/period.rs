//! Quotas: so many in a day or a month of the calendar, in UTC.

/// A day, in microseconds.
const DAY: u64 = 24 * 3600 * 1_000_000;

/// A span of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// From midnight to midnight.
    Day,
    /// From the first to the last.
    Month,
}

/// The numbers of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The most in one span.
    pub max: u64,
    /// Which.
    pub unit: Unit,
}

/// What a quota remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Period {
    /// The end of the span that is counted, in microseconds since 1970.
    pub end: u64,
    /// How many were used in it.
    pub used: u64,
}

impl Unit {
    /// The end of the span that a time is in, both in microseconds since 1970.
    pub fn end(self, now: u64) -> u64 {
        let day = now / DAY;
        match self {
            Self::Day => (day + 1) * DAY,
            Self::Month => {
                // Howard Hinnant's civil calendar: years begin in March, so that the odd month is the last.
                let (year, month) = year_and_month(day);
                let (year, month) = if month == 12 {
                    (year + 1, 1)
                } else {
                    (year, month + 1)
                };
                first_day(year, month) * DAY
            }
        }
    }

    /// How long it is, about, in seconds: what clients are told of the window.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Day => 86_400,
            Self::Month => 30 * 86_400,
        }
    }
}

fn year_and_month(day: u64) -> (u64, u64) {
    let shifted = day + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month)
}

/// The days from 1970 to the first of a month.
fn first_day(year: u64, month: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

impl Period {
    /// Begins anew when the span is over. A clock that goes backwards stays in the span it was in.
    pub fn pass(&mut self, rule: &Rule, now: u64) {
        if now >= self.end {
            (self.end, self.used) = (rule.unit.end(now), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Datelike as _, Months, Utc};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn spans_end_where_the_calendar_says(seconds in 0i64..7_258_118_400) {
            let now = DateTime::<Utc>::from_timestamp(seconds, 0).unwrap();
            let midnight = now.date_naive();
            let micros = |date: chrono::NaiveDate| {
                let time = date.and_hms_opt(0, 0, 0).unwrap().and_utc();
                u64::try_from(time.timestamp_micros()).unwrap()
            };
            let now = u64::try_from(seconds).unwrap() * 1_000_000;
            prop_assert_eq!(Unit::Day.end(now), micros(midnight.succ_opt().unwrap()));
            let first = midnight.with_day(1).unwrap();
            prop_assert_eq!(Unit::Month.end(now), micros(first + Months::new(1)));
        }
    }

    #[test]
    fn a_quota_begins_anew_with_the_next_span() {
        let rule = Rule {
            max: 5,
            unit: Unit::Day,
        };
        let mut period = Period::default();
        period.pass(&rule, DAY + 5);
        period.used = 5;
        period.pass(&rule, 2 * DAY - 1);
        assert_eq!(
            period,
            Period {
                end: 2 * DAY,
                used: 5
            }
        );
        period.pass(&rule, 2 * DAY);
        assert_eq!(
            period,
            Period {
                end: 3 * DAY,
                used: 0
            }
        );
    }
}
