//! The result table: a row for each measurement, with its peer, their ratio and the target.

use std::fmt;

use super::measure::output;

/// The values of repeated measurements.
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    pub fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len() % 2 == 1 {
            self.0[middle]
        } else {
            f64::midpoint(self.0[middle - 1], self.0[middle])
        }
    }

    /// `4.21 µs (4.10 to 4.40)`, or a single value alone.
    fn show(&self, unit: &str) -> String {
        let median = format!("{} {unit}", short(self.median()));
        match self.0.as_slice() {
            [] | [_] => median,
            [low, .., high] => format!("{median} ({} to {})", short(*low), short(*high)),
        }
    }
}

pub struct Table {
    lines: Vec<[String; 6]>,
}

impl Table {
    pub fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// A row with a peer: `ratio` is our value divided by that of the peer.
    pub fn compare(
        &mut self,
        what: &str,
        unit: &str,
        ours: &Samples,
        peer: (&str, &Samples),
        target: &str,
    ) {
        let (name, values) = peer;
        self.add(
            what,
            ours.show(unit),
            name,
            values.show(unit),
            format!("{:.3}", ours.median() / values.median()),
            target,
        );
    }

    /// A row without a peer.
    pub fn alone(&mut self, what: &str, unit: &str, ours: &Samples, target: &str) {
        self.add(what, ours.show(unit), "", String::new(), String::new(), target);
    }

    fn add(
        &mut self,
        what: &str,
        ours: String,
        name: &str,
        peer: String,
        ratio: String,
        target: &str,
    ) {
        super::say(&format!("{what}: {ours} {name} {peer} {ratio}"));
        self.lines.push([what.into(), ours, name.into(), peer, ratio, target.into()]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head =
            ["what", "kubectl lastack", "peer", "peer's", "ratio", "target"].map(String::from);
        let rule = ["---"; 6].map(String::from);
        for line in [&head, &rule].into_iter().chain(&self.lines) {
            writeln!(f, "| {} |", line.join(" | "))?;
        }
        Ok(())
    }
}

/// Three significant digits, with separators between thousands.
fn short(value: f64) -> String {
    match value {
        v if v >= 1000.0 => lastack::output::units::count(v.round() as u64),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// The machine of the run, in one line.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .unwrap_or(std::env::consts::ARCH);
    let kernel = output(std::process::Command::new("uname").arg("-sr")).unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    let date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    format!("{date}, {cores} cores of {model}, {}, load {load} before the run", kernel.trim())
}
