//! Samples in words, for people.

use super::alarm::Level;
use super::sample::{Machine, Process};
use crate::config::HealthConfig;

/// What a figure is called, what it is, and how bad that is.
pub type Line = (&'static str, String, Level);

/// The figures of the machine.
pub fn machine(machine: &Machine, config: &HealthConfig) -> Vec<Line> {
    let level = |percent: f64, warning: u32, critical: u32| match percent {
        _ if percent >= f64::from(critical) => Level::Critical,
        _ if percent >= f64::from(warning) => Level::Warning,
        _ => Level::Ok,
    };
    let load = machine.cpu_minute_pct.unwrap_or(machine.cpu_pct);
    let memory = machine.memory_pct;
    let disk = |percent: f64, free: u64| {
        let level = level(percent, config.disk_warning_pct, config.disk_critical_pct);
        (format!("{percent} %, {} free", bytes(free)), level)
    };
    let data = disk(machine.data_disk_pct, machine.data_disk_free_bytes);
    let logs = disk(machine.log_disk_pct, machine.log_disk_free_bytes);
    let same = (machine.data_disk_pct, machine.data_disk_free_bytes)
        == (machine.log_disk_pct, machine.log_disk_free_bytes);
    let mut lines = vec![
        ("CPU", format!("{load} %"), level(load, config.cpu_warning_pct, config.cpu_critical_pct)),
        (
            "Memory",
            format!("{memory} % of {}", bytes(machine.memory_bytes)),
            level(memory, config.memory_warning_pct, config.memory_critical_pct),
        ),
        ("Disk", data.0, data.1),
    ];
    if !same {
        lines.push(("Disk of logs", logs.0, logs.1));
    }
    let database_max = u64::from(config.database_warning_mb) << 20;
    let large = machine.database_bytes >= database_max;
    lines.push((
        "Database",
        format!("{}, {} in its WAL", bytes(machine.database_bytes), bytes(machine.wal_bytes)),
        if large { Level::Warning } else { Level::Ok },
    ));
    lines.push(("Logs", bytes(machine.log_bytes + machine.log_database_bytes), Level::Ok));
    lines
}

/// One process in a line.
pub fn process(process: &Process) -> String {
    format!(
        "CPU {} %, memory {}, {} threads, {} files",
        process.cpu_pct,
        bytes(process.rss_bytes),
        process.threads,
        process.fds
    )
}

/// `512 KB`, `1.5 MB`, `2.0 GB`.
pub fn bytes(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..0x10_0000 => format!("{} KB", bytes / 1024),
        0x10_0000..0x4000_0000 => format!("{} MB", tenths(0x10_0000)),
        _ => format!("{} GB", tenths(0x4000_0000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_a_threshold_is_marked() {
        let config = HealthConfig::default();
        let sample = Machine {
            cpu_pct: 99.0,
            cpu_minute_pct: Some(69.9),
            memory_pct: 75.0,
            memory_bytes: 8 << 30,
            data_disk_pct: 90.0,
            log_disk_pct: 12.5,
            database_bytes: 3 << 30,
            ..Machine::default()
        };
        let lines = machine(&sample, &config);
        let levels: Vec<(&str, Level)> = lines.iter().map(|line| (line.0, line.2)).collect();
        let expected = [
            ("CPU", Level::Ok),
            ("Memory", Level::Warning),
            ("Disk", Level::Critical),
            ("Disk of logs", Level::Ok),
            ("Database", Level::Warning),
            ("Logs", Level::Ok),
        ];
        assert_eq!(levels, expected);
        assert_eq!(lines[1].1, "75 % of 8.0 GB");
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(bytes(1_572_864), "1.5 MB");
        assert_eq!(bytes(900 * 1024), "900 KB");
        assert_eq!(bytes(5 << 29), "2.5 GB");
        assert_eq!(bytes(u64::MAX), "17179869183.9 GB");
    }
}
