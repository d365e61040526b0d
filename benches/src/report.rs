//! Rows of the table: two series of numbers, their medians, and how they relate.

use std::fmt::Write;

use serde::{Serialize, Serializer};

/// How the two medians are compared.
#[derive(Clone, Copy, Serialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// vrift / native
    Ratio,
    /// vrift - native, in the row's unit
    Difference,
}

/// One thing measured; `native[i]` and `vrift[i]` were taken one right after the other.
#[derive(Serialize)]
pub struct Row {
    pub what: &'static str,
    pub unit: &'static str,
    /// What the two columns stand for, where it is not "native" and "vrift".
    pub against: &'static str,
    pub target: &'static str,
    pub relation: Relation,
    pub native: Vec<f64>,
    pub vrift: Vec<f64>,
}

#[derive(Serialize)]
pub struct Report<M> {
    pub machine: M,
    #[serde(serialize_with = "with_medians")]
    pub rows: Vec<Row>,
}

impl Row {
    pub fn new(what: &'static str, unit: &'static str, target: &'static str) -> Self {
        let (native, vrift) = (Vec::new(), Vec::new());
        Row { what, unit, against: "native", target, relation: Relation::Ratio, native, vrift }
    }

    /// Nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.vrift.is_empty()
    }

    pub fn against(self, against: &'static str) -> Self {
        Row { against, ..self }
    }

    pub fn difference(self) -> Self {
        Row { relation: Relation::Difference, ..self }
    }

    pub fn push(&mut self, native: f64, vrift: f64) {
        self.native.push(native);
        self.vrift.push(vrift);
    }

    fn related(&self) -> String {
        let (native, vrift) = (median(&self.native), median(&self.vrift));
        match self.relation {
            Relation::Ratio => format!("{:.2}", vrift / native),
            Relation::Difference => format!("{:+.1} {}", vrift - native, self.unit),
        }
    }
}

/// The middle of a series, or the mean of its two middles.
pub fn median(series: &[f64]) -> f64 {
    let mut sorted = series.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (len, half) if len % 2 == 1 => sorted[half],
        (_, half) => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// The rows as a Markdown table.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "\n| measured | against | pairs | against, median | vrift, median | vrift / against | target |\n\
         |---|---|---:|---:|---:|---:|---|\n",
    );
    for row in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.what,
            row.against,
            row.native.len(),
            shown(&row.native, row.unit),
            shown(&row.vrift, row.unit),
            row.related(),
            row.target
        );
    }
    text
}

/// A median with its spread.
fn shown(series: &[f64], unit: &str) -> String {
    let least = series.iter().copied().fold(f64::INFINITY, f64::min);
    let most = series.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} {unit} ({}-{})", short(median(series)), short(least), short(most))
}

/// Three significant digits are all that these numbers carry.
fn short(number: f64) -> String {
    match number.abs() {
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 10.0 => format!("{number:.1}"),
        n if n >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

fn with_medians<S: Serializer>(rows: &[Row], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct WithMedians<'a> {
        #[serde(flatten)]
        row: &'a Row,
        native_median: f64,
        vrift_median: f64,
    }
    serializer.collect_seq(rows.iter().map(|row| WithMedians {
        row,
        native_median: median(&row.native),
        vrift_median: median(&row.vrift),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_and_ignores_outliers() {
        assert_eq!(median(&[9.0, 1.0, 1000.0]), 9.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), 3.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn rows_relate_their_medians() {
        let mut row = Row::new("stat", "us", "");
        row.push(2.0, 1.0);
        row.push(4.0, 1.0);
        row.push(3.0, 2.0);
        assert_eq!(row.related(), "0.33");
        assert_eq!(row.difference().related(), "-2.0 us");
    }
}
