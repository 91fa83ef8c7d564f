//! What is printed.

use std::fmt;
use std::time::Duration;

use crate::measure::{Measured, Ratio};

/// What a ratio should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Aim {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// Told for information.
    None,
}

impl Aim {
    fn is_met_by(self, ratio: f64) -> Option<bool> {
        match self {
            Self::AtMost(most) => Some(ratio <= most),
            Self::AtLeast(least) => Some(ratio >= least),
            Self::None => None,
        }
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::AtMost(most) => format!("at most {most:.2}"),
            Self::AtLeast(least) => format!("at least {least:.2}"),
            Self::None => "-".to_owned(),
        };
        f.pad(&text)
    }
}

/// One line of comparison.
#[derive(Debug)]
pub(crate) struct Compared {
    /// What is compared with what.
    pub(crate) name: String,
    /// How it compares.
    pub(crate) ratio: Ratio,
    /// How it should.
    pub(crate) aim: Aim,
}

/// All that is printed at the end.
#[derive(Debug, Default)]
pub(crate) struct Report {
    measured: Vec<Measured>,
    compared: Vec<Compared>,
    skipped: Vec<String>,
    notes: Vec<String>,
}

impl Report {
    /// Adds what one measurement found.
    pub(crate) fn add(&mut self, (measured, compared): (Vec<Measured>, Vec<Compared>)) {
        self.measured.extend(measured);
        self.compared.extend(compared);
    }

    /// Adds what fits into no table.
    pub(crate) fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// Notes what was left out, and why.
    pub(crate) fn skip(&mut self, what: impl Into<String>) {
        self.skipped.push(what.into());
    }

    /// Whether every call of every measurement was answered OK, and there were calls.
    pub(crate) fn is_clean(&self) -> bool {
        self.measured
            .iter()
            .all(|measured| measured.failed == 0 && measured.ok > 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.measured.iter().map(|measured| &measured.name);
        let width = width.chain(self.compared.iter().map(|compared| &compared.name));
        let width = width
            .map(|name| name.chars().count())
            .max()
            .unwrap_or_default();
        writeln!(
            f,
            "{:width$}  {:>12}  {:>9}  {:>9}  {:>9}  {:>9}  {:>6}",
            "measured", "OK a second", "p50", "p99", "CPU each", "OK", "errors"
        )?;
        for measured in &self.measured {
            writeln!(
                f,
                "{:width$}  {:>12}  {:>9}  {:>9}  {:>9}  {:>9}  {:>6}",
                measured.name,
                grouped(measured.rate()),
                time(measured.p50()),
                time(measured.p99()),
                measured.cpu().map_or_else(|| "-".to_owned(), time),
                measured.ok,
                measured.failed
            )?;
        }
        writeln!(
            f,
            "\n{:width$}  {:>6}  {:>14}  {:<13}  met",
            "ratio", "median", "lowest-highest", "aim"
        )?;
        for compared in &self.compared {
            let Ratio {
                median,
                lowest,
                highest,
            } = compared.ratio;
            writeln!(
                f,
                "{:width$}  {:>6}  {:>14}  {:<13}  {}",
                compared.name,
                format!("{median:.2}"),
                format!("{lowest:.2}-{highest:.2}"),
                compared.aim,
                match compared.aim.is_met_by(median) {
                    Some(true) => "yes",
                    Some(false) => "NO",
                    None => "-",
                }
            )?;
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        for skipped in &self.skipped {
            writeln!(f, "\n!!!! SKIPPED: {skipped} !!!!")?;
        }
        for measured in self.measured.iter().filter(|measured| measured.failed > 0) {
            let said = measured.first_failure.as_deref().unwrap_or_default();
            writeln!(f, "\n!!!! ERRORS in {}: {said} !!!!", measured.name)?;
        }
        Ok(())
    }
}

/// Three significant digits, in the unit that fits.
fn time(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    match micros {
        ..10.0 => format!("{micros:.2} us"),
        ..100.0 => format!("{micros:.1} us"),
        ..1_000.0 => format!("{micros:.0} us"),
        ..10_000.0 => format!("{:.2} ms", micros / 1e3),
        ..100_000.0 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.0} ms", micros / 1e3),
    }
}

/// A whole number with commas.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_is_met_on_its_own_side_only() {
        assert_eq!(Aim::AtMost(4.0).is_met_by(4.0), Some(true));
        assert_eq!(Aim::AtMost(4.0).is_met_by(4.1), Some(false));
        assert_eq!(Aim::AtLeast(0.9).is_met_by(0.9), Some(true));
        assert_eq!(Aim::AtLeast(0.9).is_met_by(0.89), Some(false));
        assert_eq!(Aim::None.is_met_by(0.0), None);
    }

    #[test]
    fn a_ratio_that_could_not_be_taken_meets_no_aim() {
        assert_eq!(Aim::AtMost(4.0).is_met_by(f64::NAN), Some(false));
        assert_eq!(Aim::AtLeast(0.5).is_met_by(f64::NAN), Some(false));
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(grouped(999.6), "1,000");
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!(grouped(12.0), "12");
        assert_eq!(time(Duration::from_nanos(320)), "0.32 us");
        assert_eq!(time(Duration::from_micros(45)), "45.0 us");
        assert_eq!(time(Duration::from_micros(2_340)), "2.34 ms");
        assert_eq!(time(Duration::from_secs(2)), "2000 ms");
    }

    #[test]
    fn a_measurement_with_errors_or_without_answers_is_not_clean() {
        let report = |ok, failed| {
            let mut report = Report::default();
            report.add((vec![Measured::told(ok, failed)], Vec::new()));
            report
        };
        assert!(report(1, 0).is_clean());
        assert!(!report(0, 0).is_clean());
        assert!(!report(9, 1).is_clean());
        assert!(report(9, 1).to_string().contains("ERRORS"));
    }
}
