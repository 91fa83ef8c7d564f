//! The period of a report: whole days on the clocks of a time zone.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};
use millgate_platform::FieldFault;

/// A moment, microseconds since the epoch.
type Micros = i64;

/// From the beginning of a day to the end of a day.
#[derive(Debug, Clone)]
pub(crate) struct Period {
    first: Date,
    last: Date,
    zone: TimeZone,
    /// The first moment.
    pub from: Micros,
    /// The first moment behind it.
    pub before: Micros,
}

/// A day of a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Day {
    /// Such as 2026-01-31.
    pub date: String,
    /// Its first moment.
    pub from: Micros,
    /// The first moment behind it.
    pub before: Micros,
}

/// A day as a request names it.
///
/// # Errors
/// Anything but a date of ISO 8601's extended format, from the year 1 on.
pub(crate) fn date(text: &str) -> Result<Date, FieldFault> {
    let wrong = || FieldFault::from("must be a date such as 2026-01-31");
    // jiff reads more than this: years of six digits, times behind the date.
    if text.len() != 10 {
        return Err(wrong());
    }
    let date: Date = text.parse().map_err(|_| wrong())?;
    if date.year() < 1 || date.year() == 9999 {
        return Err(wrong());
    }
    Ok(date)
}

/// A time zone as a request names it.
///
/// # Errors
/// A name that the IANA database does not have.
pub(crate) fn zone(name: &str) -> Result<TimeZone, FieldFault> {
    let wrong = || FieldFault::from("must be the name of a time zone such as Europe/Berlin or UTC");
    if name.is_empty() || name.len() > 64 {
        return Err(wrong());
    }
    TimeZone::get(name).map_err(|_| wrong())
}

impl Period {
    /// The days `first` to `last`, both included, of which `longest` is the most.
    ///
    /// # Errors
    /// Says of `last` that it is before `first`, or too far behind it.
    pub(crate) fn new(
        first: Date,
        last: Date,
        zone: TimeZone,
        longest: Span,
    ) -> Result<Self, FieldFault> {
        if last < first {
            return Err("must not be before start_date".into());
        }
        if first.checked_add(longest).is_ok_and(|end| last >= end) {
            return Err(format!("must be less than {longest:#} after start_date").into());
        }
        let moment = |day: Date| begins(day, &zone);
        let next = last.tomorrow().ok();
        let (from, before) = (moment(first), next.and_then(moment));
        match (from, before) {
            (Some(from), Some(before)) => Ok(Self {
                first,
                last,
                zone,
                from,
                before,
            }),
            _ => Err("is out of range".into()),
        }
    }

    /// Each day of it.
    pub(crate) fn days(&self) -> Vec<Day> {
        self.first
            .series(1.day())
            .take_while(|day| *day <= self.last)
            .filter_map(|day| {
                Some(Day {
                    date: day.to_string(),
                    from: begins(day, &self.zone)?,
                    before: begins(day.tomorrow().ok()?, &self.zone)?,
                })
            })
            .collect()
    }
}

/// The first moment of a day: where the clocks leap over midnight, it is not midnight.
fn begins(day: Date, zone: &TimeZone) -> Option<Micros> {
    let midnight = day.to_zoned(zone.clone()).ok()?;
    Some(midnight.start_of_day().ok()?.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn period(first: &str, last: &str, name: &str) -> Result<Period, FieldFault> {
        Period::new(date(first)?, date(last)?, zone(name)?, 366.days())
    }

    fn hours(first: &str, name: &str) -> i64 {
        let period = period(first, first, name).expect("a day");
        (period.before - period.from) / HOUR
    }

    #[test]
    fn a_day_has_23_24_or_25_hours_by_the_clocks_of_its_zone() {
        assert_eq!(hours("2026-01-31", "Europe/Berlin"), 24);
        assert_eq!(hours("2026-03-29", "Europe/Berlin"), 23);
        assert_eq!(hours("2026-10-25", "Europe/Berlin"), 25);
        assert_eq!(hours("2026-03-29", "UTC"), 24);
        // Midnight itself was leapt over.
        assert_eq!(hours("2018-11-04", "America/Sao_Paulo"), 23);
    }

    #[test]
    fn a_day_begins_at_its_own_midnight() {
        let berlin = period("1970-01-01", "1970-01-01", "Europe/Berlin").expect("a day");
        assert_eq!(berlin.from, -HOUR);
        let utc = period("1970-01-01", "1970-01-02", "UTC").expect("two days");
        assert_eq!((utc.from, utc.before), (0, 48 * HOUR));
    }

    #[test]
    fn what_is_no_date_no_zone_or_no_period_is_refused() {
        for bad in [
            "",
            "2026-1-31",
            "2026-02-30",
            "31.01.2026",
            "2026-01-31T00:00",
            "+002026-01",
            "0000-01-01",
            "9999-12-31",
            "２026-01-31",
        ] {
            assert!(date(bad).is_err(), "{bad}");
        }
        for bad in ["", "Berlin", "../etc/passwd", "UTC+25", &"x".repeat(100)] {
            assert!(zone(bad).is_err(), "{bad}");
        }
        assert!(period("2026-02-01", "2026-01-31", "UTC").is_err());
        assert!(
            period("2024-01-01", "2025-01-01", "UTC").is_err(),
            "367 days"
        );
        assert!(
            period("2024-01-01", "2024-12-31", "UTC").is_ok(),
            "366 days"
        );
    }

    proptest! {
        #[test]
        fn the_days_of_a_period_leave_no_moment_out_and_none_twice(
            start in 0i32..20_000,
            length in 0i32..366,
            name in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe",
            ]),
        ) {
            let epoch = date("1970-01-01").expect("a date");
            let first = epoch.checked_add(start.days()).expect("a date");
            let last = first.checked_add(length.days()).expect("a date");
            let period = Period::new(first, last, zone(name).expect("a zone"), 366.days()).expect("a period");
            let days = period.days();
            prop_assert_eq!(days.len(), usize::try_from(length).expect("positive") + 1);
            prop_assert_eq!(days[0].from, period.from);
            prop_assert_eq!(days[days.len() - 1].before, period.before);
            for pair in days.windows(2) {
                prop_assert_eq!(pair[0].before, pair[1].from);
            }
        }
    }
}
