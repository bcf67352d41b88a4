//! What people look at: pages made from the database.

mod day;
mod machine;
mod orders;
mod settings;
mod signals;
mod status;

use std::collections::BTreeSet;

use chrono::NaiveDate;

use super::command::View;
use super::html::Page;
use crate::config::Config;
use crate::engine::Mode;
use crate::health::Watchman;
use crate::market::Timestamp;
use crate::market::time::{ist, ist_date};
use crate::store::{Heartbeat, Store, StoreError};

pub(super) use status::{is_enabled, stop_reason};

/// What a page is made from, besides the database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) mode: Mode,
    pub(super) config: &'a Config,
    pub(super) now: Timestamp,
    /// Services seen to live in real time; a fast clock lets their signs of
    /// life look old.
    pub(super) lively: &'a BTreeSet<String>,
    /// Who measures.
    pub(super) watchman: &'a Watchman,
}

impl Scene<'_> {
    fn today(&self) -> NaiveDate {
        ist_date(self.now)
    }

    /// True when a service has given no sign of life for too long.
    fn is_silent(&self, beat: &Heartbeat) -> bool {
        beat.is_silent(self.now) && !self.lively.contains(&beat.service)
    }

    fn page(&self) -> Page {
        Page::new(self.mode)
    }
}

/// Makes the page of a view.
pub(super) fn show(store: &Store, scene: Scene<'_>, view: &View) -> Result<Page, StoreError> {
    match view {
        View::Status => status::status(store, scene),
        View::Position => status::position(store, scene),
        View::Trades(date) => day::trades(store, scene, *date),
        View::Summary(date) => day::summary(store, scene, *date),
        View::Week => day::week(store, scene),
        View::Month(first) => day::month(store, scene, *first),
        View::Pivots(symbol) => signals::pivots(store, scene, symbol.as_deref()),
        View::Why { symbol, time } => signals::why(store, scene, symbol.as_deref(), *time),
        View::Orders => orders::orders(store, scene),
        View::Health => machine::health(store, scene),
        View::Config => settings::settings(store, scene),
        View::Version => machine::version(store, scene),
    }
}

/// `10:12:03`
fn clock_time(at: Timestamp) -> String {
    ist(at).format("%H:%M:%S").to_string()
}

/// `3 s`, `4 min`, `2 h 10 min`.
fn age(now: Timestamp, at: Timestamp) -> String {
    let seconds = (now - at).num_seconds().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A text or number of a heartbeat's figures.
fn figure(beat: &Heartbeat, name: &str) -> Option<String> {
    let value = beat.detail.get(name)?;
    match value.as_str() {
        Some(text) => Some(text.to_string()),
        None if value.is_null() || value.is_object() || value.is_array() => None,
        None => Some(value.to_string()),
    }
}
