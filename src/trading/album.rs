//! Gathers what a picture of the day shows, and draws it with the summary.

use std::path::{Path, PathBuf};

use crate::chart::{DayPicture, TradeMark, render};
use crate::engine::event::Event;
use crate::engine::ledger::{DaySummary, Direction, TradeRecord};
use crate::engine::strategy::Outlook;
use crate::engine::{Command, DayPlan, Engine, Fact};
use crate::market::{Candle, InstrumentKey, Price, Timestamp};

/// Folder of the pictures inside the data folder.
pub(super) const PICTURES: &str = "pictures";

/// The day so far, for its picture.
#[derive(Debug, Default)]
pub(super) struct Album {
    signal: Option<InstrumentKey>,
    levels: Vec<(String, Price)>,
    candles: Vec<Candle>,
    trades: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    record: TradeRecord,
    left_at: Option<(Timestamp, Price)>,
}

impl Album {
    pub(super) fn begin(&mut self, plan: &DayPlan, outlook: &[Outlook]) {
        if self.signal.as_ref() != Some(&plan.signal.key) {
            self.candles.clear();
            self.trades.clear();
        }
        self.signal = Some(plan.signal.key.clone());
        let first = outlook.iter().find(|outlook| outlook.instrument == plan.signal.key);
        self.levels = first.map(|outlook| outlook.levels.clone()).unwrap_or_default();
    }

    /// Keeps what one entry of the journal shows.
    pub(super) fn entry(
        &mut self,
        event: &Event,
        commands: &[Command],
        engine: &Engine,
        at: Timestamp,
    ) {
        self.event(event);
        if let (Event::Day(_), Some(plan)) = (event, engine.day()) {
            self.begin(plan, &engine.outlook());
        }
        for command in commands {
            if let Command::Record(fact) = command {
                self.fact(fact, engine, at);
            }
        }
    }

    fn event(&mut self, event: &Event) {
        if let Event::Candle { instrument, candle, .. } = event
            && Some(instrument) == self.signal.as_ref()
        {
            self.candles.push(*candle);
        }
    }

    fn fact(&mut self, fact: &Fact, engine: &Engine, at: Timestamp) {
        let Fact::Trade(record) = fact else { return };
        let price = engine.quote(&record.signal).map(|quote| quote.last);
        let left_at = if record.is_closed() { price.map(|price| (at, price)) } else { None };
        let seen = Seen { record: (**record).clone(), left_at };
        match self.trades.iter_mut().find(|old| old.record.trade_id == record.trade_id) {
            Some(old) => *old = Seen { left_at: old.left_at.or(seen.left_at), ..seen },
            None => self.trades.push(seen),
        }
    }

    /// Draws the day into the pictures folder; a failure is logged, as a day
    /// without a picture is still a day.
    pub(super) fn draw(&self, data_dir: &Path, summary: &DaySummary, mode: &str) {
        let folder = data_dir.join(PICTURES);
        let path = picture_path(data_dir, summary.date);
        let made = std::fs::create_dir_all(&folder);
        let picture = self.picture(summary, mode);
        match made
            .map_err(|error| error.to_string())
            .and_then(|()| render(&picture, &path).map_err(|error| error.to_string()))
        {
            Ok(()) => tracing::info!(path = %path.display(), "picture of the day"),
            Err(error) => tracing::warn!(%error, "no picture of the day"),
        }
    }

    fn picture(&self, summary: &DaySummary, mode: &str) -> DayPicture {
        DayPicture {
            title: format!(
                "{} · {} · {}",
                summary.instrument.symbol,
                summary.date.format("%a %d %b %Y"),
                mode.to_uppercase()
            ),
            subtitle: format!(
                "{} trades · {} won · gross ₹{} · charges ₹{} · net ₹{}",
                summary.trades,
                summary.wins,
                summary.gross.signed(),
                summary.charges.grouped(),
                summary.net().signed()
            ),
            candles: self.candles.clone(),
            levels: self.levels.clone(),
            trades: self.trades.iter().filter_map(mark).collect(),
        }
    }
}

/// Where the picture of a day lies.
pub fn picture_path(data_dir: &Path, date: chrono::NaiveDate) -> PathBuf {
    data_dir.join(PICTURES).join(format!("day-{}.png", date.format("%Y%m%d")))
}

fn mark(seen: &Seen) -> Option<TradeMark> {
    let record = &seen.record;
    let reason = record.exit_reason.map_or("open", |reason| reason.as_str());
    Some(TradeMark {
        entry: (record.entered_at?, record.candle.close),
        exit: seen.left_at,
        stop: record.stop,
        long: record.direction == Direction::Long,
        label: format!("{reason} ₹{}", record.net().signed()),
        won: record.net().paise() > 0,
    })
}
