//! `pivotctl logs tail`: the last lines of a log file, across the files that
//! were set aside, and what is written next.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use super::one_line;
use super::place::LogArgs;
use crate::ops::WrongUsage;
use crate::ops::output::is_read;
use crate::telemetry::follow::{Follower, current, each_line, files_of};
use crate::telemetry::{Component, Listed};

/// How often a file is looked at, in real time.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Files that no component and no service names.
const OTHERS: [&str; 2] = ["errors", "system"];

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pivotctl logs tail\n  pivotctl logs tail execution_service -n 50\n  \
                        pivotctl logs tail errors -f\n  pivotctl logs tail system -f"
)]
pub(super) struct Args {
    #[command(flatten)]
    place: LogArgs,
    /// A component, a service, errors or system; trading when left out.
    #[arg(value_name = "COMPONENT", default_value = "trading")]
    name: String,
    /// Lines to show first.
    #[arg(short = 'n', long, default_value_t = 20, value_name = "LINES")]
    lines: usize,
    /// Go on with lines as they come.
    #[arg(short, long)]
    follow: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = args.place.folder()?;
    let stem = if args.name == "auth" { "auth_server" } else { args.name.as_str() };
    let files = files_of(&folder, stem)?;
    check(&folder, stem, &files)?;
    // Opened before it is read, so that nothing between is missed.
    let mut follower = Follower::begin(&folder, stem)?;
    for line in last_lines(&files, args.lines, follower.position())? {
        outln!("{}", one_line(&line));
    }
    if files.is_empty() && !args.follow {
        errln!("no lines yet in {}", folder.join(format!("{stem}.log")).display());
    }
    while args.follow && is_read() {
        let lines = follower.look()?;
        for line in &lines {
            outln!("{}", one_line(line));
        }
        if lines.is_empty() {
            std::thread::sleep(LOOK_EVERY);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses a name that neither a file has nor the system knows.
fn check(folder: &Path, stem: &str, files: &[Listed]) -> anyhow::Result<()> {
    let components = Component::ALL.iter().map(|component| component.as_str().to_owned());
    let services = ["trading", "auth_server", "bot"]
        .iter()
        .flat_map(|name| [(*name).to_owned(), format!("{name}_error")]);
    let others = OTHERS.iter().map(|name| (*name).to_owned());
    let known: BTreeSet<String> = components.chain(services).chain(others).collect();
    if !files.is_empty() || known.contains(stem) {
        return Ok(());
    }
    let near = known.iter().max_by(|a, b| {
        let alike = |name: &str| strsim::jaro_winkler(name, stem);
        alike(a).total_cmp(&alike(b))
    });
    let near = near.map(String::as_str).unwrap_or_default();
    let known = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    Err(WrongUsage(format!(
        "no log {stem:?} in {}; did you mean {near}? There are {known}",
        folder.display()
    ))
    .into())
}

/// The last lines, the newest file only up to `until`.
fn last_lines(files: &[Listed], wanted: usize, until: u64) -> anyhow::Result<VecDeque<String>> {
    let mut lines = VecDeque::new();
    let now = current(files).map(|file| file.path.clone());
    for file in files.iter().rev() {
        let left = wanted - lines.len();
        if left == 0 {
            break;
        }
        let bytes_max = if now.as_deref() == Some(&*file.path) { until } else { u64::MAX };
        let mut part = VecDeque::new();
        let keep = |line: String| {
            part.push_back(line);
            if part.len() > left {
                part.pop_front();
            }
        };
        match each_line(&file.path, file.compressed, bytes_max, keep) {
            Ok(()) => {}
            // Compressed or deleted meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let path = file.path.display();
                return Err(error).with_context(|| format!("could not read {path}"));
            }
        }
        part.into_iter().rev().for_each(|line| lines.push_front(line));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn append(path: &Path, text: &str) {
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn lines_are_gathered_across_files_that_were_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let archive = File::create(at("bot_20261125.1.log.gz")).unwrap();
        let mut archive = GzEncoder::new(archive, Compression::fast());
        archive.write_all(b"1\n2\n").unwrap();
        archive.finish().unwrap();
        append(&at("bot_20261126.1.log"), "3\n4\n");
        append(&at("bot_20261126.10.log"), "6\n");
        append(&at("bot_20261126.2.log"), "5\n");
        append(&at("bot.log"), "7\n8\n");
        append(&at("bot_error.log"), "not of it\n");
        append(&at("bot_error_20261126.1.log"), "not of it\n");
        let files = files_of(folder.path(), "bot").unwrap();
        let check = |wanted: usize, expect: &str| {
            let lines = last_lines(&files, wanted, u64::MAX).unwrap();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            assert_eq!(lines.join(""), expect);
        };
        check(0, "");
        check(1, "8");
        check(4, "5678");
        check(7, "2345678");
        check(99, "12345678");
    }

    #[test]
    fn the_day_file_that_is_written_comes_last() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        append(&at("system_20261125.log"), "1\n");
        append(&at("system_20261126.1.log"), "2\n");
        append(&at("system_20261126.log"), "3\n");
        let files = files_of(folder.path(), "system").unwrap();
        assert_eq!(current(&files).unwrap().path, at("system_20261126.log"));
        assert_eq!(last_lines(&files, 9, u64::MAX).unwrap(), ["1", "2", "3"]);
        let mut follower = Follower::begin(folder.path(), "system").unwrap();
        append(&at("system_20261126.log"), "4\n");
        append(&at("system_20261127.log"), "5\n");
        assert_eq!(follower.look().unwrap(), ["4", "5"]);
    }
}
