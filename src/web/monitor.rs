//! What monitoring asks: how all is, what it uses, what the day brings, and
//! all of it for Prometheus.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::access::Caller;
use super::app::App;
use super::problem::Problem;
use crate::health::board::Board;
use crate::health::{Detail, Level, Trouble, metrics};
use crate::market::Timestamp;
use crate::market::time::ist_date;
use crate::service::in_full;
use crate::store::{Heartbeat, SILENT_AFTER};
use crate::upkeep::reminders::{self, Outside};
use crate::upkeep::{self, JobReport};

/// How what is done by day and week stands, or why that is not known.
type Jobs = Result<Vec<JobReport>, String>;

/// Minutes of history that are shown when nobody asks for fewer.
const HISTORY_MIN: u32 = 60;

impl App {
    /// True when a service has given no sign of life for too long. Of a fast
    /// clock signs look older than they are.
    fn is_silent(&self, beat: &Heartbeat, now: Timestamp) -> bool {
        beat.is_silent(now) && !self.watchman.pulse().lively().contains(&beat.service)
    }

    async fn board(&self) -> Result<Board, Problem> {
        let (config, now) = (self.config.clone(), self.clock.now());
        self.heavy.read(move |store| Board::gather(store, &config, now)).await
    }

    /// None is there when nobody looks after it on this data folder.
    async fn jobs(&self, now: Timestamp) -> Result<Jobs, Problem> {
        let config = self.config.clone();
        let report = move || {
            let plan = config.backup_plan().map_err(|error| in_full(&error))?;
            let folder = Path::new(&config.data.dir);
            upkeep::report(folder, &config.calendar(), &plan, now).map_err(|error| in_full(&error))
        };
        self.heavy.run(move || Ok::<_, Problem>(report())).await
    }

    /// What is to be renewed, as JSON, or why that is not known.
    async fn reminders(&self, now: Timestamp) -> Result<Value, Problem> {
        let config = self.config.clone();
        let outside = self.heavy.run(move || Ok::<_, Problem>(Outside::read(&config))).await?;
        let outside = match outside {
            Ok(outside) => outside,
            Err(error) => return Ok(json!({ "error": in_full(&error) })),
        };
        let found = self.heavy.read(move |store| reminders::gather(store, &outside, now)).await?;
        Ok(reminders::report_json(&found, ist_date(now)))
    }

    /// What is not well; services that are silent at an hour when nobody
    /// minds and work that was not done are among it as well.
    fn reasons(&self, beats: &[Heartbeat], jobs: &Jobs, now: Timestamp) -> Vec<Trouble> {
        let mut reasons = self.watchman.troubles();
        let warning = |name: &str, message: String| Trouble {
            name: name.to_string(),
            severity: Level::Warning,
            message,
            value: 1.0,
            threshold: 1.0,
        };
        match jobs {
            Ok(jobs) => reasons.extend(jobs.iter().filter(|job| job.is_trouble()).map(|job| {
                let what = if job.late { "was due long ago and not done" } else { "failed" };
                let name = job.job.as_str();
                warning(&format!("maintenance.{name}"), format!("{name} {what}"))
            })),
            Err(error) => reasons.push(warning("maintenance", error.clone())),
        }
        for beat in beats.iter().filter(|beat| self.is_silent(beat, now)) {
            let name = format!("silent.{}", beat.service);
            if reasons.iter().all(|reason| reason.name != name) {
                reasons.push(Trouble {
                    name,
                    severity: Level::Warning,
                    message: format!("pivot-{} is silent", beat.service),
                    value: (now - beat.at).num_seconds() as f64,
                    threshold: SILENT_AFTER.num_seconds() as f64,
                });
            }
        }
        reasons
    }
}

/// `GET /api/health`: all in all, with reasons; every service, the session,
/// backups and the like.
pub(super) async fn health(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    app.admit_program(&caller)?;
    let board = app.board().await?;
    let jobs = app.jobs(board.at).await?;
    let reasons = app.reasons(&board.beats, &jobs, board.at);
    let status = match reasons.iter().map(|reason| reason.severity).max().unwrap_or_default() {
        Level::Ok => "ok",
        Level::Warning => "degraded",
        Level::Critical => "critical",
    };
    let services: Map<String, Value> = board
        .beats
        .iter()
        .map(|beat| {
            let silent = app.is_silent(beat, board.at);
            (beat.service.clone(), service_json(beat, silent, board.at))
        })
        .collect();
    Ok(Json(json!({
        "status": status,
        "reasons": reasons,
        "mode": board.mode,
        "at": board.at,
        "services": services,
        "session": board.session,
        "waiting": board.waiting,
        "maintenance": match &jobs {
            Ok(jobs) => upkeep::report_json(jobs),
            Err(error) => json!({ "error": error }),
        },
        "reminders": app.reminders(board.at).await?,
    })))
}

fn service_json(beat: &Heartbeat, silent: bool, now: Timestamp) -> Value {
    json!({
        "status": if silent { "silent" } else { "ok" },
        "heartbeat_age_s": (now - beat.at).num_seconds().max(0),
        "phase": beat.phase,
        "version": beat.version,
        "started_at": beat.started_at,
        "detail": beat.detail,
    })
}

#[derive(Debug, Deserialize)]
pub(super) struct Window {
    minutes: Option<u32>,
}

/// `GET /api/metrics/health?minutes=`: what machine and processes use, now
/// and in the last hour.
pub(super) async fn resources(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(window): Query<Window>,
) -> Result<Json<Value>, Problem> {
    app.admit_program(&caller)?;
    let beats = app.heavy.read(|store| store.heartbeats()).await?;
    let services: Map<String, Value> = beats
        .iter()
        .map(|beat| {
            let detail = Detail::of(beat);
            let figures = json!({ "process": detail.process, "log": detail.log });
            (beat.service.clone(), figures)
        })
        .collect();
    let minutes = window.minutes.unwrap_or(HISTORY_MIN);
    let from = app.clock.now() - TimeDelta::minutes(i64::from(minutes));
    let mut history = app.watchman.history();
    history.retain(|sample| sample.at >= from);
    Ok(Json(json!({
        "latest": app.watchman.latest(),
        "history": history,
        "services": services,
        // The address of the webhook is masked.
        "thresholds": app.config.health,
    })))
}

/// `GET /api/monitoring`: the figures of the trading day.
pub(super) async fn monitoring(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Board>, Problem> {
    app.admit_program(&caller)?;
    Ok(Json(app.board().await?))
}

/// `GET /metrics`: all of it for Prometheus.
pub(super) async fn prometheus(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Response, Problem> {
    app.admit_program(&caller)?;
    let board = app.board().await?;
    let jobs = app.jobs(board.at).await?;
    let troubles = app.reasons(&board.beats, &jobs, board.at);
    let jobs: Vec<metrics::Job> = jobs
        .iter()
        .flatten()
        .map(|job| metrics::Job {
            name: job.job.as_str(),
            done_at: job.last_done,
            trouble: job.is_trouble(),
        })
        .collect();
    let text = metrics::text(&metrics::Scene {
        board: &board,
        sample: app.watchman.latest(),
        troubles: &troubles,
        jobs: &jobs,
        is_silent: &|beat| app.is_silent(beat, board.at),
    })?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}
