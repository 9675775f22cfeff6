//! Prometheus's [text format](https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format), for the health
//! check only.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{Asked, Format, Report};
use crate::storage::{Finding, State};

/// Metrics of the health check. Any other report has none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prometheus;

/// A gauge that is what one check has measured.
struct Gauge {
    check: &'static str,
    name: &'static str,
    help: &'static str,
    /// How many of the last digits are behind the decimal point.
    decimals: usize,
}

const GAUGES: [Gauge; 5] = [
    Gauge {
        check: "daemon",
        name: "leadclicks_daemon_up",
        help: "Whether leadclicksd runs on the database.",
        decimals: 0,
    },
    Gauge {
        check: "clicks",
        name: "leadclicks_clicks",
        help: "Number of clicks in the database.",
        decimals: 0,
    },
    Gauge {
        check: "newest",
        name: "leadclicks_newest_click_timestamp_seconds",
        help: "When the newest click happened, in seconds since 1970.",
        decimals: 6,
    },
    Gauge {
        check: "disk",
        name: "leadclicks_disk_free_bytes",
        help: "Free disk space less what the WAL will add to the database.",
        decimals: 0,
    },
    Gauge {
        check: "wal",
        name: "leadclicks_wal_bytes",
        help: "Size of the WAL file.",
        decimals: 0,
    },
];

impl Format for Prometheus {
    fn write(&self, report: &Report, _: &Asked, out: &mut impl Write) -> io::Result<()> {
        let Report::Check { name, findings } = report else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let db = escaped(name);
        begin(
            out,
            "leadclicks_check_state",
            "Result of a check: 0 ok, 1 warning, 2 problem.",
        )?;
        for (check, state) in worst_of_each(findings) {
            let state = match state {
                State::Ok => 0,
                State::Warning => 1,
                State::Problem => 2,
            };
            writeln!(
                out,
                "leadclicks_check_state{{db=\"{db}\",check=\"{check}\"}} {state}"
            )?;
        }
        for gauge in GAUGES {
            let mut of_check = findings.iter().filter(|found| found.check == gauge.check);
            let Some(number) = of_check.find_map(|found| found.measured) else {
                continue;
            };
            begin(out, gauge.name, gauge.help)?;
            let value = decimal(number, gauge.decimals);
            writeln!(out, "{}{{db=\"{db}\"}} {value}", gauge.name)?;
        }
        out.flush()
    }
}

fn begin(out: &mut impl Write, name: &str, help: &str) -> io::Result<()> {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge")
}

/// A check may have several findings, but a metric only one value.
fn worst_of_each(findings: &[Finding]) -> BTreeMap<&'static str, State> {
    let mut states = BTreeMap::new();
    for finding in findings {
        let state = states.entry(finding.check).or_insert(State::Ok);
        *state = finding.state.max(*state);
    }
    states
}

/// The value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// `number` with its last `decimals` digits behind a point.
fn decimal(number: i64, decimals: usize) -> String {
    if decimals == 0 {
        return number.to_string();
    }
    let sign = if number < 0 { "-" } else { "" };
    let digits = format!("{:0>1$}", number.unsigned_abs(), decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    format!("{sign}{whole}.{part}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_microseconds_is_written_in_seconds() {
        for (micros, seconds) in [
            (0, "0.000000"),
            (1, "0.000001"),
            (-1, "-0.000001"),
            (1_793_523_602_500_000, "1793523602.500000"),
        ] {
            assert_eq!(decimal(micros, 6), seconds);
        }
        assert_eq!(decimal(-7, 0), "-7");
    }
}
