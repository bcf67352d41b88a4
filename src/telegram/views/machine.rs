//! `/health` and `/version`.

use std::path::Path;

use super::super::html::Page;
use super::{Scene, age, figure};
use crate::market::time::ist;
use crate::store::{SCHEMA_VERSION, Store, StoreError};
use crate::upkeep;
use crate::upkeep::schedule::State;

/// Shares in percent at which a mark is shown: warning, critical.
const CPU: (u64, u64) = (70, 80);
const MEMORY: (u64, u64) = (75, 85);
const DISK: (u64, u64) = (80, 90);

/// Files of the log folder that are looked at, at most.
const LOG_FILES_MAX: usize = 10_000;

pub(super) fn health(store: &Store, scene: Scene<'_>) -> Result<Page, StoreError> {
    let data = Path::new(&scene.config.data.dir);
    let logs = Path::new(&scene.config.data.log_dir);
    let mut page = scene.page().title("Health");
    if let Some(load) = load_percent() {
        page = page.field("CPU", marked(load, CPU));
    }
    if let Some(memory) = memory_percent() {
        page = page.field("Memory", marked(memory, MEMORY));
    }
    if let Some(disk) = disk_percent(data) {
        page = page.field("Disk", marked(disk, DISK));
    }
    page = page
        .field("Database", size(file_size(store.path())))
        .field("Logs", size(folder_size(logs)))
        .gap();
    for beat in store.heartbeats()? {
        let sign = if scene.is_silent(&beat) { "🔴" } else { "🟢" };
        page = page
            .title(format!("{sign} pivot-{}", beat.service))
            .line(format!("{}, {} ago", beat.phase, age(scene.now, beat.at)))
            .line(format!("up for {}", age(scene.now, beat.started_at)));
        if let Some(memory) = process_memory(beat.pid) {
            page = page.line(format!("memory {}", size(memory)));
        }
        let names = beat.detail.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        for name in names.filter(|name| *name != "mode") {
            if let Some(value) = figure(&beat, name) {
                page = page.line(format!("{}: {value}", name.replace('_', " ")));
            }
        }
    }
    Ok(upkeep_below(page, scene))
}

/// What is done by day and week: what went wrong, and the last backup.
fn upkeep_below(page: Page, scene: Scene<'_>) -> Page {
    let data = Path::new(&scene.config.data.dir);
    let Ok(plan) = scene.config.backup_plan() else { return page };
    let reports = match upkeep::report(data, &scene.config.calendar(), &plan, scene.now) {
        Ok(reports) if reports.is_empty() => return page,
        Ok(reports) => reports,
        Err(error) => return page.title("🔴 Upkeep").line(error.to_string()),
    };
    let troubled: Vec<_> = reports.iter().filter(|report| report.is_trouble()).collect();
    let sign = if troubled.is_empty() { "🟢" } else { "🔴" };
    let mut page = page.title(format!("{sign} Upkeep"));
    for report in troubled {
        let why = match &report.last {
            Some(run) if run.state == State::Failed => run.detail.as_str(),
            Some(_) | None => "not done in time",
        };
        page = page.line(format!("❌ {}: {why}", report.job.about()));
    }
    for report in &reports {
        if let Some(at) = report.last_done {
            let at = ist(at).format("%-d %b %H:%M");
            page = page.line(format!("{}: {at}", report.job.about()));
        }
    }
    page
}

pub(super) fn version(store: &Store, scene: Scene<'_>) -> Result<Page, StoreError> {
    let mut page = scene
        .page()
        .title("Version")
        .field("pivot-trading", env!("CARGO_PKG_VERSION"))
        .field("Commit", option_env!("PIVOT_COMMIT").unwrap_or("unknown"))
        .field("Build", if cfg!(debug_assertions) { "debug" } else { "release" })
        .field("Schema", SCHEMA_VERSION.to_string());
    for beat in store.heartbeats()? {
        let text = format!("{}, up for {}", beat.version, age(scene.now, beat.started_at));
        page = page.field(&format!("pivot-{}", beat.service), text);
    }
    Ok(page)
}

fn marked(percent: u64, (warning, critical): (u64, u64)) -> String {
    match percent {
        _ if percent >= critical => format!("{percent} % 🔴"),
        _ if percent >= warning => format!("{percent} % 🟡"),
        _ => format!("{percent} %"),
    }
}

/// Load of the last minute as a share of all processors.
fn load_percent() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let (whole, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    let load: u64 = format!("{whole}{hundredths}").parse().ok()?;
    let processors = std::thread::available_parallelism().ok()?.get() as u64;
    Some(load / processors)
}

fn memory_percent() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
    };
    let total = kilobytes("MemTotal")?;
    Some(100 * (total - kilobytes("MemAvailable")?) / total.max(1))
}

fn disk_percent(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    let total = stat.f_blocks.max(1);
    Some(100 * (total - stat.f_bavail.min(total)) / total)
}

fn process_memory(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

fn file_size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

fn folder_size(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().take(LOG_FILES_MAX);
    files.flatten().filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum()
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KB", bytes / 1024),
        _ => format!("{}.{} MB", bytes / 1_048_576, bytes % 1_048_576 * 10 / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_machine() {
        assert!(load_percent().is_some());
        assert!(memory_percent().is_some_and(|percent| percent <= 100));
        assert!(disk_percent(Path::new("/")).is_some_and(|percent| percent <= 100));
        assert!(process_memory(std::process::id()).is_some_and(|bytes| bytes > 1024 * 1024));
    }

    #[test]
    fn marks_what_passes_a_threshold() {
        assert_eq!(marked(69, CPU), "69 %");
        assert_eq!(marked(70, CPU), "70 % 🟡");
        assert_eq!(marked(90, DISK), "90 % 🔴");
        assert_eq!(size(1_572_864), "1.5 MB");
    }
}
