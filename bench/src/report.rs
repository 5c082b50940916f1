//! The table, the targets and the plot, into `docs/performance.md` between its markers.
use crate::Fallible;
use crate::plot;
use std::fmt::Write;
use std::path::Path;

const BEGIN: &str = "<!-- measured: written by `make bench` -->";
const END: &str = "<!-- /measured -->";

/// One line of the table.
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The figure with its unit.
    pub figure: String,
    /// Server CPU of each, in microseconds.
    pub micros: Option<f64>,
    /// Median and 99th percentile of the latency, in milliseconds.
    pub latency: Option<(f64, f64)>,
}

/// One target: what it asks for, what was measured.
pub struct Target {
    /// What it is about.
    pub what: &'static str,
    /// What it asks for.
    pub asked: &'static str,
    /// What was measured.
    pub measured: String,
    /// Whether it is reached.
    pub reached: bool,
}

/// Everything that a run found.
#[derive(Default)]
pub struct Report {
    /// The machine.
    pub machine: String,
    /// The table.
    pub rows: Vec<Row>,
    /// The targets.
    pub targets: Vec<Target>,
    /// Bars of the plot: label, value, limit of the same unit.
    pub bars: Vec<plot::Bar>,
}

impl Report {
    /// Markdown.
    pub fn text(&self) -> Fallible<String> {
        let mut out = String::new();
        writeln!(out, "{}\n", self.machine)?;
        writeln!(
            out,
            "| what | figure | server CPU µs each | p50 ms | p99 ms |\n| --- | ---: | ---: | ---: | ---: |"
        )?;
        for row in &self.rows {
            let micros = row.micros.map_or_else(String::new, |micros| format!("{micros:.1}"));
            let (p50, p99) = row
                .latency
                .map_or_else(Default::default, |(p50, p99)| (format!("{p50:.2}"), format!("{p99:.2}")));
            writeln!(out, "| {} | {} | {micros} | {p50} | {p99} |", row.what, row.figure)?;
        }
        writeln!(out, "\n| target | asked | measured | |\n| --- | --- | --- | --- |")?;
        for target in &self.targets {
            let reached = if target.reached { "reached" } else { "**missed**" };
            writeln!(out, "| {} | {} | {} | {reached} |", target.what, target.asked, target.measured)?;
        }
        writeln!(
            out,
            "\n![Requests per second of server CPU beside the limits of the machine](performance.svg)"
        )?;
        Ok(out)
    }

    /// Replaces what stands between the markers; the text around them stays.
    pub fn write(&self, docs: &Path) -> Fallible<()> {
        let file = docs.join("performance.md");
        let former = std::fs::read_to_string(&file)?;
        let (before, rest) = former.split_once(BEGIN).ok_or("docs/performance.md has lost its marker")?;
        let (_, after) = rest.split_once(END).ok_or("docs/performance.md has lost its end marker")?;
        std::fs::write(&file, format!("{before}{BEGIN}\n{}\n{END}{after}", self.text()?))?;
        Ok(std::fs::write(docs.join("performance.svg"), plot::svg(&self.bars))?)
    }
}

/// A number with thousands apart.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
