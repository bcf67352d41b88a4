//! `/health` and `/version`.

use std::path::Path;

use super::super::html::Page;
use super::{Scene, age, figure};
use crate::health::{Detail, Level, show};
use crate::market::time::ist;
use crate::store::{SCHEMA_VERSION, Store, StoreError};
use crate::upkeep;
use crate::upkeep::schedule::State;

/// Figures that say nothing to people.
const NOT_SHOWN: [&str; 2] = ["mode", "last_price_at"];

pub(super) fn health(store: &Store, scene: Scene<'_>) -> Result<Page, StoreError> {
    let mut page = scene.page().title("Health");
    let machine = scene.watchman.latest().and_then(|sample| sample.machine);
    for (name, text, level) in
        machine.iter().flat_map(|machine| show::machine(machine, &scene.config.health))
    {
        page = page.field(name, format!("{text}{}", mark(level)));
    }
    let troubles = scene.watchman.troubles();
    if !troubles.is_empty() {
        page = page.gap();
    }
    for trouble in troubles {
        page = page.line(format!("{} {}", trouble.severity.sign(), trouble.message));
    }
    page = page.gap();
    for beat in store.heartbeats()? {
        let sign = if scene.is_silent(&beat) { "🔴" } else { "🟢" };
        page = page
            .title(format!("{sign} pivot-{}", beat.service))
            .line(format!("{}, {} ago", beat.phase, age(scene.now, beat.at)))
            .line(format!("up for {}", age(scene.now, beat.started_at)));
        let detail = Detail::of(&beat);
        if let Some(process) = &detail.process {
            page = page.line(show::process(process));
        }
        if let Some(at) = detail.last_price_at {
            page = page.line(format!("last price {} ago", age(scene.now, at)));
        }
        let names = beat.detail.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        for name in names.filter(|name| !NOT_SHOWN.contains(name)) {
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
        if let Some(at) = report.again_at {
            let at = ist(at).format("%H:%M");
            page = page.line(format!("⏳ {}: tried again from {at} on", report.job.about()));
        }
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

/// What stands behind a figure that passes a threshold.
fn mark(level: Level) -> &'static str {
    match level {
        Level::Ok => "",
        Level::Warning => " 🟡",
        Level::Critical => " 🔴",
    }
}
