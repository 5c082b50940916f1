//! A bar chart as SVG, by hand: two bars a line, the measured one and its limit.
use std::fmt::Write;

/// One line of the chart.
pub struct Bar {
    /// What it is.
    pub label: &'static str,
    /// The measured value and its words.
    pub value: (f64, String),
    /// The limit of the same unit and its words.
    pub limit: (f64, String),
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 190.0;
const LINE: f64 = 46.0;

/// The chart; each line has a scale of its own, the limit is full length unless it is passed.
pub fn svg(bars: &[Bar]) -> String {
    let mut out = String::new();
    let lines = u32::try_from(bars.len()).unwrap_or(0);
    let height = f64::from(lines) * LINE + 50.0;
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"22\" font-size=\"14\">Measured (dark) beside the limit of the machine in the same run (light)</text>"
    );
    for (index, bar) in (0_u32..).zip(bars) {
        let y = 40.0 + f64::from(index) * LINE;
        let full = bar.value.0.max(bar.limit.0);
        let mut line = |offset: f64, color: &str, (value, words): &(f64, String)| {
            let length = (WIDTH - LEFT - 190.0) * value / full;
            let (top, text) = (y + offset, y + offset + 12.0);
            let _ = writeln!(
                out,
                "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{length:.1}\" height=\"15\" fill=\"{color}\"/>\n\
                 <text x=\"{:.1}\" y=\"{text}\">{words}</text>",
                LEFT + length + 6.0
            );
        };
        line(0.0, "#24527a", &bar.value);
        line(17.0, "#b8cfe0", &bar.limit);
        let _ = writeln!(out, "<text x=\"10\" y=\"{}\">{}</text>", y + 20.0, bar.label);
    }
    out.push_str("</svg>\n");
    out
}
