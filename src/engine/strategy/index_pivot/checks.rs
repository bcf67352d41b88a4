//! The rules that refuse a cross, in the order in which they are reported.

use super::{Cross, IndexPivot, view};
use crate::engine::settings::Ppm;
use crate::engine::strategy::{CandleInput, numbers, reason, share_of};
use crate::market::pivots::{DayType, Level};
use crate::market::time::ist_time;

/// Smallest wick of a bounce as a share of its candle's range.
const WICK_MIN: Ppm = Ppm(500_000);

/// A rule that failed, with what was compared.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) compared: Vec<(String, String)>,
}

fn refuse(reason: &'static str, compared: impl Into<Vec<(String, String)>>) -> Option<Refusal> {
    Some(Refusal { reason, compared: compared.into() })
}

impl IndexPivot {
    /// Everything up to, and without, risk and reward.
    pub(super) fn refuse_breakout(
        &self,
        input: &CandleInput<'_>,
        cross: &Cross,
        valid: bool,
    ) -> Option<Refusal> {
        if !valid {
            return refuse(reason::CANDLE_INVALID, []);
        }
        self.refuse_day(input, cross)
            .or_else(|| self.refuse_candle(input, cross))
            .or_else(|| self.refuse_size(cross))
            .or_else(|| self.refuse_inside_range(cross))
            .or_else(|| self.refuse_level(input, cross))
            .or_else(|| self.refuse_limits(input))
    }

    /// What can have changed since the breakout, and the setup.
    pub(super) fn refuse_retest(&self, input: &CandleInput<'_>, cross: &Cross) -> Option<Refusal> {
        self.refuse_time(input).or_else(|| self.refuse_entry(input, cross))
    }

    /// What speaks against a bounce: neither size nor opening range, but the
    /// wick.
    pub(super) fn refuse_bounce(
        &self,
        input: &CandleInput<'_>,
        cross: &Cross,
        valid: bool,
    ) -> Option<Refusal> {
        if !valid {
            return refuse(reason::CANDLE_INVALID, []);
        }
        self.refuse_halted(input)
            .or_else(|| refuse(self.blocked(cross.direction)?, self.gap_numbers()))
            .or_else(|| self.refuse_wick(input, cross))
            .or_else(|| self.refuse_entry(input, cross))
    }

    /// What the day's trades and the setup say against an entry.
    fn refuse_entry(&self, input: &CandleInput<'_>, cross: &Cross) -> Option<Refusal> {
        self.refuse_level(input, cross)
            .or_else(|| self.refuse_limits(input))
            .or_else(|| self.refuse_setup(cross))
            .or_else(|| self.refuse_position(input))
    }

    fn refuse_wick(&self, input: &CandleInput<'_>, cross: &Cross) -> Option<Refusal> {
        let candle = input.candle;
        let seen = view(cross.direction).candle(candle);
        if seen.close <= seen.open {
            return refuse(reason::CANDLE_COLOUR, [numbers::price("open", candle.open)]);
        }
        let range = Level::from_price(candle.high) - Level::from_price(candle.low);
        let wick = seen.open - seen.low;
        if wick < share_of(range, WICK_MIN) {
            let compared = [
                numbers::price("open", candle.open),
                numbers::price("high", candle.high),
                numbers::price("low", candle.low),
                numbers::text("wick / range", format!("{} %", wick.percent_of(range, 2))),
                numbers::ppm("at least", WICK_MIN),
            ];
            return refuse(reason::WEAK_WICK, compared);
        }
        None
    }

    fn refuse_halted(&self, input: &CandleInput<'_>) -> Option<Refusal> {
        match self.halted() {
            Some(code) => refuse(code, self.gap_numbers()),
            None => self.refuse_time(input),
        }
    }

    fn refuse_day(&self, input: &CandleInput<'_>, cross: &Cross) -> Option<Refusal> {
        if let Some(refusal) = self.refuse_halted(input) {
            return Some(refusal);
        }
        let day_type = self.day.day_type;
        let width = || {
            [
                numbers::text("CPR width", format!("{} %", self.day.cpr.width_percent(4))),
                numbers::ppm("narrow below", self.settings.cpr_narrow),
                numbers::ppm("wide above", self.settings.cpr_wide),
            ]
        };
        if day_type == DayType::Wide && !self.settings.trade_on_wide {
            return refuse(reason::CPR_WIDE, width());
        }
        let is_edge = matches!(cross.level_name, "CPR_HI" | "CPR_LO");
        if is_edge && day_type != DayType::Narrow {
            return refuse(reason::CPR_EDGE_NEEDS_NARROW, width());
        }
        let blocked = self.blocked(cross.direction)?;
        refuse(blocked, self.gap_numbers())
    }

    fn refuse_time(&self, input: &CandleInput<'_>) -> Option<Refusal> {
        let now = ist_time(input.at);
        if (self.first_entry..=self.last_entry).contains(&now) {
            return None;
        }
        let compared = [
            numbers::time("time", now),
            numbers::time("first entry", self.first_entry),
            numbers::time("last entry", self.last_entry),
        ];
        refuse(reason::TIME_WINDOW, compared)
    }

    fn gap_numbers(&self) -> Vec<(String, String)> {
        let Some(opening) = self.opening else { return Vec::new() };
        vec![
            numbers::price("open", opening.open),
            numbers::price("previous close", opening.previous_close),
            numbers::text("gap", format!("{} %", opening.gap_percent())),
        ]
    }

    fn refuse_candle(&self, input: &CandleInput<'_>, cross: &Cross) -> Option<Refusal> {
        let candle = input.candle;
        let seen = view(cross.direction).candle(candle);
        if seen.close <= seen.open {
            return refuse(reason::CANDLE_COLOUR, [numbers::price("open", candle.open)]);
        }
        let range = Level::from_price(candle.high) - Level::from_price(candle.low);
        let body = (seen.close - seen.open).abs();
        if candle.high == candle.low || body < share_of(range, self.settings.min_body_ratio) {
            let compared = [
                numbers::price("open", candle.open),
                numbers::price("high", candle.high),
                numbers::price("low", candle.low),
                numbers::text("body / range", format!("{} %", body.percent_of(range, 2))),
                numbers::ppm("at least", self.settings.min_body_ratio),
            ];
            return refuse(reason::WEAK_BODY, compared);
        }
        None
    }

    fn refuse_size(&self, cross: &Cross) -> Option<Refusal> {
        let Some(threshold) = cross.threshold else {
            let compared = [
                numbers::count("candles before", self.sizes.len()),
                numbers::count("at least", self.settings.min_history),
            ];
            return refuse(reason::NO_HISTORY, compared);
        };
        if cross.body < threshold {
            let name = format!("body, percentile {}", self.settings.sig_percentile);
            return refuse(reason::NOT_SIGNIFICANT, [numbers::share(name, threshold)]);
        }
        None
    }

    fn refuse_inside_range(&self, cross: &Cross) -> Option<Refusal> {
        match self.range.bound(cross.direction) {
            Err(missing) => refuse(
                reason::INSIDE_OPENING_RANGE,
                [numbers::count("candles missing from the opening range", missing)],
            ),
            Ok(Some(bound))
                if view(cross.direction).price(cross.close)
                    <= view(cross.direction).price(bound) =>
            {
                refuse(reason::INSIDE_OPENING_RANGE, [numbers::price("opening range to", bound)])
            }
            Ok(_) => None,
        }
    }

    fn refuse_level(&self, input: &CandleInput<'_>, cross: &Cross) -> Option<Refusal> {
        let (direction, name) = (cross.direction, cross.level_name);
        if self.locks.is_locked(direction, name) {
            return refuse(reason::LEVEL_LOCKED, []);
        }
        let entries = self.locks.entries(direction, name);
        if entries >= self.settings.max_entries_per_level {
            let compared = [
                numbers::count("entries at the level", entries),
                numbers::count("at most", self.settings.max_entries_per_level),
            ];
            return refuse(reason::REENTRY_LIMIT, compared);
        }
        if self.locks.awaits_reset(direction, name) {
            return refuse(reason::NO_RESET, []);
        }
        let slot = self.sequence.slot(input.candle.start);
        let cooldown = self.settings.cooldown_candles;
        match self.locks.candles_since_exit(slot) {
            Some(since) if since <= i64::from(cooldown) => {
                let compared = [
                    numbers::count("candles since the exit", since),
                    numbers::count("more than", cooldown),
                ];
                refuse(reason::COOLDOWN, compared)
            }
            Some(_) | None => None,
        }
    }

    fn refuse_limits(&self, input: &CandleInput<'_>) -> Option<Refusal> {
        if input.entries_today >= input.max_trades {
            let compared = [
                numbers::count("trades today", input.entries_today),
                numbers::count("at most", input.max_trades),
            ];
            return refuse(reason::MAX_TRADES, compared);
        }
        if input.consecutive_losses >= input.max_consecutive_losses {
            let compared = [
                numbers::count("losses in a row", input.consecutive_losses),
                numbers::count("fewer than", input.max_consecutive_losses),
            ];
            return refuse(reason::MAX_CONSEC_LOSSES, compared);
        }
        None
    }

    pub(super) fn refuse_setup(&self, cross: &Cross) -> Option<Refusal> {
        let risk = Level::from_price(cross.risk);
        let most = share_of(cross.close.into(), self.settings.max_risk);
        if risk > most {
            return refuse(reason::RISK_TOO_WIDE, [numbers::level("risk at most", most)]);
        }
        let needed = share_of(risk, self.settings.min_rr);
        match cross.reward() {
            Some(reward) if reward >= needed => None,
            Some(reward) => refuse(
                reason::RR_TOO_LOW,
                [numbers::level("reward", reward), numbers::level("reward at least", needed)],
            ),
            None => refuse(reason::RR_TOO_LOW, [numbers::text("reward", "no level beyond")]),
        }
    }

    pub(super) fn refuse_position(&self, input: &CandleInput<'_>) -> Option<Refusal> {
        if input.flat { None } else { refuse(reason::POSITION_OPEN, []) }
    }
}
