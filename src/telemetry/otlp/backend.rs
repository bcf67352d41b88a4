//! The sink's batches as requests.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tracing::Level;

use super::super::Figures;
use super::super::rows::{Backend, BackendError, Record};
use super::encode::Resource;
use super::metrics::{Sent, metrics};
use super::post::{Collector, PostError, Poster, Rejected};
use crate::clock::Clock;

/// Between two reports of figures.
const FIGURES_EVERY: Duration = Duration::from_secs(60);

/// Records, and bytes of their texts, of one request.
const RECORDS_MAX: usize = 500;
const BYTES_MAX: usize = 1 << 20;

/// Records whose numbers are remembered since their neighbours were in vain.
const REMEMBERED_MAX: usize = 50_000;

/// Between two lines about the collector.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Libraries that send requests speak of them, which would make more of them.
const OF_REQUESTS: [&str; 5] = ["reqwest", "hyper", "hyper_util", "rustls", "h2"];

/// An OpenTelemetry collector. Its calls block the sink's thread only.
#[derive(Debug)]
pub struct OtlpBackend {
    poster: Poster,
    resource: Resource,
    counts: Arc<Counts>,
    /// Taken already, of batches that were not taken as a whole.
    taken: BTreeSet<i64>,
    /// The collector asked to be left alone until then.
    resting_until: Option<Instant>,
    told_at: Option<Instant>,
    failure_told: bool,
    /// Until the end.
    runtime: Option<Runtime>,
}

#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    refused: AtomicU64,
}

impl OtlpBackend {
    /// A backend that connects when it first stores, and reports figures
    /// every minute.
    ///
    /// # Errors
    /// When the system gives no runtime, or TLS cannot be set up.
    pub fn new(
        collector: Collector,
        resource: Resource,
        clock: &Clock,
        figures: impl Fn() -> Figures + Send + 'static,
    ) -> io::Result<OtlpBackend> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("log-otlp")
            .enable_all()
            .build()?;
        let poster = Poster::new(collector).map_err(io::Error::other)?;
        let counts = Arc::new(Counts::default());
        let reports =
            report(poster.clone(), resource.clone(), clock.clone(), Arc::clone(&counts), figures);
        runtime.spawn(reports);
        Ok(OtlpBackend {
            poster,
            resource,
            counts,
            taken: BTreeSet::new(),
            resting_until: None,
            told_at: None,
            failure_told: false,
            runtime: Some(runtime),
        })
    }

    fn post(&self, path: &str, body: &Value) -> Result<Rejected, PostError> {
        let Some(runtime) = &self.runtime else { return Ok(Rejected::default()) };
        runtime.block_on(self.poster.post(path, body))
    }

    /// Sends what was not taken yet.
    fn send(&mut self, records: &[Record]) -> Result<(), PostError> {
        let now = Instant::now();
        if let Some(left) = self.resting_until.and_then(|until| until.checked_duration_since(now)) {
            return Err(PostError::Pause(left));
        }
        self.resting_until = None;
        if records.is_empty() {
            return match self.post("v1/logs", &json!({ "resourceLogs": [] })) {
                // No record was refused; whether one will be is seen then.
                Ok(_) | Err(PostError::Refused { .. }) => Ok(()),
                Err(error) => Err(error),
            };
        }
        let new: Vec<&Record> = records
            .iter()
            .filter(|record| !self.taken.contains(&record.id) && !is_of_requests(record))
            .collect();
        let (logs, spans): (Vec<&Record>, Vec<&Record>) =
            new.into_iter().partition(|record| record.row.duration_us.is_none());
        for part in parts(&logs) {
            self.send_part("v1/logs", part, self.resource.logs(part))?;
        }
        for part in parts(&spans) {
            self.send_part("v1/traces", part, self.resource.spans(part))?;
        }
        Ok(())
    }

    fn send_part(&mut self, path: &str, part: &[&Record], body: Value) -> Result<(), PostError> {
        let all = u64::try_from(part.len()).unwrap_or(u64::MAX);
        let refused = match self.post(path, &body) {
            Ok(Rejected { items: 0, .. }) => 0,
            Ok(Rejected { items, words }) => {
                self.tell(Level::WARN, &format!("{path}: {items} records rejected: {words}"));
                items.min(all)
            }
            Err(error @ PostError::Refused { .. }) => {
                self.tell(Level::WARN, &format!("{path}: {error}; records are lost there"));
                all
            }
            Err(error) => return Err(error),
        };
        self.counts.refused.fetch_add(refused, Ordering::Relaxed);
        self.counts.taken.fetch_add(all - refused, Ordering::Relaxed);
        self.taken.extend(part.iter().map(|record| record.id));
        Ok(())
    }

    /// A line about the collector, seldom. True when it was said.
    fn tell(&mut self, level: Level, words: &str) -> bool {
        let too_soon = self.told_at.is_some_and(|at| at.elapsed() < TELL_EVERY);
        // The first look may come before logging listens.
        if level == Level::WARN && too_soon || !tracing::dispatcher::has_been_set() {
            return false;
        }
        if level == Level::WARN {
            self.told_at = Some(Instant::now());
            tracing::warn!("{words}");
        } else {
            tracing::info!("{words}");
        }
        true
    }

    fn has_failed(&mut self, error: &PostError) {
        if let PostError::Busy { pause: Some(pause), .. } = error {
            self.resting_until = Some(Instant::now() + *pause);
        }
        if !self.failure_told {
            let why = match std::error::Error::source(error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            self.failure_told =
                self.tell(Level::WARN, &format!("{why}; records wait in memory meanwhile"));
        }
    }
}

impl Backend for OtlpBackend {
    fn store(&mut self, records: &[Record]) -> Result<(), BackendError> {
        if let Err(error) = self.send(records) {
            self.has_failed(&error);
            while self.taken.len() > REMEMBERED_MAX {
                self.taken.pop_first();
            }
            return Err(error.into());
        }
        for record in records {
            self.taken.remove(&record.id);
        }
        if std::mem::take(&mut self.failure_told) {
            self.tell(Level::INFO, "the OpenTelemetry collector takes records again");
        }
        Ok(())
    }
}

impl Drop for OtlpBackend {
    fn drop(&mut self) {
        // A look-up of a name that hangs must not hold up the end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs of records that make a request of fair size.
fn parts<'a, 'b>(records: &'a [&'b Record]) -> impl Iterator<Item = &'a [&'b Record]> {
    let mut rest = records;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |record: &&&Record| {
            bytes += record.row.message.len() + record.row.data.len();
            bytes <= BYTES_MAX
        };
        let length = rest.iter().take(RECORDS_MAX).take_while(fits).count();
        let (part, after) = rest.split_at(length.max(1).min(rest.len()));
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

/// True for what libraries say of requests, such as those to the collector.
fn is_of_requests(record: &Record) -> bool {
    let library = record.row.target.split("::").next().unwrap_or_default();
    OF_REQUESTS.contains(&library) && record.row.level > Level::INFO
}

async fn report(
    poster: Poster,
    resource: Resource,
    clock: Clock,
    counts: Arc<Counts>,
    figures: impl Fn() -> Figures,
) {
    let start_us = clock.now().timestamp_micros();
    let mut every = tokio::time::interval(FIGURES_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let sent = Sent {
            taken: counts.taken.load(Ordering::Relaxed),
            refused: counts.refused.load(Ordering::Relaxed),
        };
        let now_us = clock.now().timestamp_micros();
        let body = resource.metrics(metrics(&figures(), sent, start_us, now_us));
        // Sums go on, so the next report makes up for one that is lost; that
        // the collector fails is told for the records.
        let _ = poster.post("v1/metrics", &body).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::rows::Row;
    use super::*;

    #[test]
    fn requests_are_of_fair_size_and_nothing_is_left_out() {
        let record = |id: i64, bytes: usize| Record {
            id,
            row: Row {
                at: chrono::DateTime::from_timestamp_micros(id).unwrap(),
                level: Level::DEBUG,
                service: "bot".into(),
                component: "api".into(),
                target: "hyper_util::client".into(),
                message: "x".repeat(bytes),
                data: "{}".into(),
                correlation_id: None,
                event_type: None,
                duration_us: None,
            },
        };
        let mut records: Vec<Record> = (0..1_200).map(|id| record(id, 10)).collect();
        records.push(record(2_000, 2 * BYTES_MAX));
        records.extend((2_001..2_004).map(|id| record(id, BYTES_MAX / 2)));
        let all: Vec<&Record> = records.iter().collect();
        let lengths: Vec<usize> = parts(&all).map(<[_]>::len).collect();
        assert_eq!(lengths, [500, 500, 200, 1, 1, 1, 1]);
        assert_eq!(parts(&[]).count(), 0);
        assert!(is_of_requests(all[0]));
    }
}
