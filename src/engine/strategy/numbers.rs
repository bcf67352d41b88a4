//! Numbers of a decision as text, the way a trader reads them.

use chrono::NaiveTime;

use super::candles::{Share, percent};
use crate::engine::settings::Ppm;
use crate::market::Price;
use crate::market::pivots::Level;

type Number = (String, String);

pub(super) fn price(name: impl Into<String>, value: Price) -> Number {
    (name.into(), value.to_string())
}

pub(super) fn level(name: impl Into<String>, value: Level) -> Number {
    (name.into(), value.to_decimal(2))
}

pub(super) fn share(name: impl Into<String>, value: Share) -> Number {
    (name.into(), format!("{} %", percent(value, 4)))
}

pub(super) fn count(name: impl Into<String>, value: impl std::fmt::Display) -> Number {
    (name.into(), value.to_string())
}

pub(super) fn time(name: impl Into<String>, value: NaiveTime) -> Number {
    (name.into(), value.format("%H:%M:%S").to_string())
}

pub(super) fn text(name: impl Into<String>, value: impl Into<String>) -> Number {
    (name.into(), value.into())
}

pub(super) fn ppm(name: impl Into<String>, value: Ppm) -> Number {
    (name.into(), format!("{} %", percent(Share::new(value.0.into(), Ppm::WHOLE.into()), 2)))
}
