//! `GET /api/logs` and `GET /api/logs/stream`: log records, found and
//! followed.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::access::Caller;
use super::app::App;
use super::heavy::Patient;
use super::problem::Problem;
use crate::telemetry::rows::{self, BadFilter, Entry, LogQuery, Page, Reader, RowsError};

/// How often a stream looks for new rows, in real time.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often a stream says that it is still there, in real time.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Where a client that was cut off says how far it came.
const LAST_EVENT_ID: &str = "last-event-id";

/// Names and values of a query string.
type Pairs = Query<Vec<(String, String)>>;

/// `GET /api/logs`: one page, newest first.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(pairs): Pairs,
) -> Result<Json<Value>, Problem> {
    app.admit_program(&caller)?;
    let query = parse(&app, &pairs)?;
    let path = path(&app);
    let read = move || match Reader::open_if_there(&path)? {
        Some(reader) => reader.page(&query),
        None => Ok(Page::default()),
    };
    let page = app.heavy.run(read).await?;
    let logs: Vec<Value> = page.entries.iter().map(Entry::to_json).collect();
    Ok(Json(json!({ "logs": logs, "next": page.next.map(|cursor| cursor.to_string()) })))
}

/// `GET /api/logs/stream`: new rows as server-sent events, from now on or
/// from the one after `Last-Event-ID`. Ends with the server.
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    Query(pairs): Pairs,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    app.admit_program(&caller)?;
    let query = parse(&app, &pairs)?;
    let seen = headers.get(LAST_EVENT_ID).map(|id| {
        let id = id.to_str().unwrap_or_default();
        id.parse::<i64>().ok().filter(|id| *id >= 0).ok_or_else(|| BadFilter {
            name: LAST_EVENT_ID.to_owned(),
            expected: "the id of an event of this stream".to_owned(),
            was: id.chars().take(100).collect(),
        })
    });
    let seen = seen.transpose()?;
    let permit =
        Arc::clone(&app.listeners).try_acquire_owned().map_err(|_| Problem::TooManyListeners)?;
    let path = path(&app);
    let mut follower =
        Follower { path: path.clone(), query, reader: None, after: seen.unwrap_or(0) };
    if seen.is_none() {
        follower = app.heavy.run(move || follower.skip_to_end()).await?;
    }
    let stop = app.ending.subscribe();
    let patient = app.heavy.patient();
    let listener = Listener { follower, patient, waiting: VecDeque::new(), stop, _permit: permit };
    let events = stream::unfold(listener, Listener::next);
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("still here");
    Ok(Sse::new(events).keep_alive(heartbeat))
}

fn path(app: &App) -> PathBuf {
    Path::new(&app.config.data.dir).join(rows::FILE_NAME)
}

fn parse(app: &App, pairs: &[(String, String)]) -> Result<LogQuery, BadFilter> {
    let (mut query, mut names) = (LogQuery::default(), BTreeSet::new());
    let now = app.clock.now();
    for (name, value) in pairs {
        rows::filter(&mut query, name, value, now)?;
        if !names.insert(name) {
            let (name, was) = (name.clone(), value.clone());
            return Err(BadFilter { name, expected: "one value".to_owned(), was });
        }
    }
    Ok(query)
}

/// Reads what is new.
#[derive(Debug)]
struct Follower {
    path: PathBuf,
    query: LogQuery,
    reader: Option<Reader>,
    after: i64,
}

impl Follower {
    fn skip_to_end(mut self) -> Result<Follower, RowsError> {
        let table = self.query.table;
        if let Some(reader) = self.reader()? {
            self.after = reader.last_arrival(table)?;
        }
        Ok(self)
    }

    /// The file as it is now; `None` while there is none.
    fn reader(&mut self) -> Result<Option<&Reader>, RowsError> {
        if !self.reader.as_ref().is_some_and(Reader::is_current) {
            self.reader = Reader::open_if_there(&self.path)?;
        }
        Ok(self.reader.as_ref())
    }

    /// Rows that came since.
    fn look(mut self) -> Result<(Follower, Vec<Entry>), RowsError> {
        let (query, after) = (self.query.clone(), self.after);
        let Some(reader) = self.reader()? else { return Ok((self, Vec::new())) };
        let (entries, after) = reader.arrived(&query, after)?;
        self.after = after;
        Ok((self, entries))
    }
}

/// One stream.
#[derive(Debug)]
struct Listener {
    follower: Follower,
    patient: Patient,
    waiting: VecDeque<Entry>,
    stop: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    /// The next event; `None` when the server ends, or the file cannot be
    /// read: the client comes back and says how far it was.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Listener)> {
        loop {
            if *self.stop.borrow() {
                return None;
            }
            if let Some(entry) = self.waiting.pop_front() {
                let event = Event::default()
                    .id(entry.arrival.to_string())
                    .event("log")
                    .data(entry.to_json().to_string());
                return Some((Ok(event), self));
            }
            let follower = self.follower;
            let looked = self.patient.run(move || follower.look()).await;
            let (follower, entries) = looked
                .inspect_err(|error| {
                    tracing::warn!(error = error as &dyn std::error::Error, "a log stream ends");
                })
                .ok()?;
            self.follower = follower;
            if entries.is_empty() {
                // An error means that the server is gone.
                let _ = tokio::time::timeout(LOOK_EVERY, self.stop.changed()).await;
            }
            self.waiting = entries.into();
        }
    }
}
