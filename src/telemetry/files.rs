//! The files of one service.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use crate::clock::Clock;
use crate::market::time::ist_date;

/// Writes each line to the service's own file and, for the trading service,
/// to the file of the day.
pub(super) struct ServiceFiles {
    folder: PathBuf,
    header: String,
    clock: Clock,
    own: File,
    daily: Option<Daily>,
}

struct Daily {
    date: NaiveDate,
    file: File,
}

impl ServiceFiles {
    pub(super) fn open(
        folder: &Path,
        service: &str,
        mode: &str,
        clock: &Clock,
    ) -> io::Result<ServiceFiles> {
        DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
        let header = format!(
            "---- pivot-{service} {} · mode {} · pid {} ----\n",
            env!("CARGO_PKG_VERSION"),
            mode.to_uppercase(),
            std::process::id(),
        );
        let name = if service == "auth" { "auth_server" } else { service };
        let own = open_file(&folder.join(format!("{name}.log")), &header)?;
        let date = ist_date(clock.now());
        let daily = match service {
            "trading" => Some(Daily { date, file: daily_file(folder, date, &header)? }),
            _ => None,
        };
        Ok(ServiceFiles { folder: folder.to_owned(), header, clock: clock.clone(), own, daily })
    }
}

impl Write for ServiceFiles {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(daily) = &mut self.daily {
            let date = ist_date(self.clock.now());
            if date != daily.date {
                *daily = Daily { date, file: daily_file(&self.folder, date, &self.header)? };
            }
            daily.file.write_all(line)?;
        }
        self.own.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.own.flush()
    }
}

fn daily_file(folder: &Path, date: NaiveDate, header: &str) -> io::Result<File> {
    open_file(&folder.join(format!("system_{}.log", date.format("%Y%m%d"))), header)
}

fn open_file(path: &Path, header: &str) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    file.write_all(header.as_bytes())?;
    Ok(file)
}

/// Deletes the files of dates that are more than `keep_days` days before
/// `today`, compressed ones too. Answers how many.
///
/// # Errors
/// When the folder cannot be read or a file cannot be deleted.
pub fn delete_old_logs(folder: &Path, today: NaiveDate, keep_days: u32) -> io::Result<u32> {
    let mut deleted = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let date = entry.file_name().to_str().and_then(date_of);
        if date.is_some_and(|date| (today - date).num_days() > i64::from(keep_days)) {
            std::fs::remove_file(entry.path())?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// The date of a file of a date, whatever follows its name.
fn date_of(name: &str) -> Option<NaiveDate> {
    let (date, rest) = name.strip_prefix("system_")?.split_at_checked(8)?;
    let date = NaiveDate::parse_from_str(date, "%Y%m%d").ok()?;
    rest.starts_with(".log").then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Conductor;
    use crate::market::time::{from_ist, hms};

    #[test]
    fn the_day_file_follows_the_date_in_india() {
        let folder = tempfile::tempdir().unwrap();
        let clock_file = folder.path().join("clock");
        let monday = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        let start = from_ist(monday, hms(23, 59, 59));
        let mut conductor = Conductor::create(&clock_file, start).unwrap();
        let clock = Clock::scaled(&clock_file).unwrap();
        let logs = folder.path().join("logs");
        let mut files = ServiceFiles::open(&logs, "trading", "demo", &clock).unwrap();
        files.write_all(b"before\n").unwrap();
        let next = start + chrono::TimeDelta::seconds(2);
        conductor.run(1e6, next).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while clock.now() < next && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        files.write_all(b"after\n").unwrap();
        let read = |name: &str| std::fs::read_to_string(logs.join(name)).unwrap();
        assert!(read("system_20261123.log").ends_with("before\n"));
        assert!(read("system_20261124.log").ends_with("after\n"));
        assert!(read("trading.log").contains("mode DEMO"));
    }

    #[test]
    fn files_of_dates_long_gone_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let kept =
            ["system_20261116.log", "trading.log", "system_notes.log", "system_20261101.txt"];
        let old = ["system_20261115.log", "system_20261114.log.1.gz"];
        for name in kept.iter().chain(&old) {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let today = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        assert_eq!(delete_old_logs(folder.path(), today, 7).unwrap(), 2);
        assert!(kept.iter().all(|name| folder.path().join(name).exists()));
        assert_eq!(delete_old_logs(folder.path(), today, 7).unwrap(), 0);
    }
}
