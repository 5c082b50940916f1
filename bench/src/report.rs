//! The table, the targets and the plot, into `docs/performance.md` between its markers.
use crate::Fallible;
use crate::plot;
use std::fmt::Write;
use std::path::Path;

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
        if !self.bars.is_empty() {
            let picture =
                "![Requests per second of server CPU beside the limits of the machine](performance.svg)";
            writeln!(out, "\n{picture}")?;
        }
        Ok(out)
    }

    /// Writes the table and the plot.
    pub fn write(&self, docs: &Path) -> Fallible<()> {
        self.write_text(&docs.join("performance.md"), "measured")?;
        Ok(std::fs::write(docs.join("performance.svg"), plot::svg(&self.bars))?)
    }

    /// Replaces what stands between the markers of a name; the text around them stays.
    pub fn write_text(&self, file: &Path, name: &str) -> Fallible<()> {
        let (begin, end) = (format!("<!-- {name}: written by `make bench` -->"), format!("<!-- /{name} -->"));
        let former = std::fs::read_to_string(file)?;
        let (before, rest) = former.split_once(&begin).ok_or("docs/performance.md has lost its marker")?;
        let (_, after) = rest.split_once(&end).ok_or("docs/performance.md has lost its end marker")?;
        Ok(std::fs::write(file, format!("{before}{begin}\n{}\n{end}{after}", self.text()?))?)
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
