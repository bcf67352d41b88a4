//! The central pivot range: the band between BC and TC around the pivot.

use chrono::NaiveDate;

use super::{Bar, Level};
use crate::market::candle::DayCandle;

/// The central pivot range of one session, drawn on the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpr {
    /// Middle of the session's range, (H + L) / 2.
    pub bc: Level,
    /// The pivot, (H + L + C) / 3.
    pub pp: Level,
    /// 2·PP − BC. Below BC when the close was in the lower half.
    pub tc: Level,
    /// Lower edge of the band.
    pub lo: Level,
    /// Upper edge of the band.
    pub hi: Level,
    /// TC − BC: positive when the session closed in its upper half.
    pub signed: Level,
}

/// How wide a day's band is: narrow bands go with trending days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DayType {
    /// Narrower than the lower limit.
    Narrow,
    /// Between the limits, both included.
    Moderate,
    /// Wider than the upper limit.
    Wide,
}

/// How a day's band lies to that of the day before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TwoDay {
    /// Both edges within 0.02 % of the day before.
    Unchanged,
    /// Wholly above.
    Higher,
    /// Wholly below.
    Lower,
    /// Inside, edges included.
    Inside,
    /// Around it on both sides.
    Outside,
    /// Reaching out above.
    OverlapHigher,
    /// Reaching out below.
    OverlapLower,
}

/// Where value has moved over three relationships in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueTrend {
    /// Higher or overlapping higher, three times.
    Ascending,
    /// Lower or overlapping lower, three times.
    Descending,
    /// Neither.
    Mixed,
}

/// Share of an edge within which it counts as unchanged (0.02 %).
const UNCHANGED: (i64, i64) = (2, 10_000);

impl Cpr {
    /// The band that follows from a session.
    pub fn of(previous: &DayCandle) -> Cpr {
        Cpr::of_bar(&Bar::from(previous))
    }

    /// The band that follows from exact prices.
    pub fn of_bar(bar: &Bar) -> Cpr {
        let bc = bar.high.midpoint(bar.low);
        let pp = (bar.high + bar.low + bar.close).scaled((1, 3));
        let tc = pp.scaled((2, 1)) - bc;
        Cpr { bc, pp, tc, lo: bc.min(tc), hi: bc.max(tc), signed: tc - bc }
    }

    /// Height of the band.
    pub fn width(&self) -> Level {
        self.hi - self.lo
    }

    /// Height of the band in millionths of PP, rounded to the nearest; for
    /// showing and recording.
    pub fn width_ppm(&self) -> i64 {
        self.width().ppm_of(self.pp)
    }

    /// Height of the band in percent of PP, with so many decimals.
    pub fn width_percent(&self, places: u32) -> String {
        self.width().percent_of(self.pp, places)
    }

    /// Classifies the width by two limits, in millionths of PP, unrounded.
    pub fn class(&self, narrow_ppm: i64, wide_ppm: i64) -> DayType {
        let at = |ppm: i64| self.pp.scaled((ppm, 1_000_000));
        if self.width() < at(narrow_ppm) {
            DayType::Narrow
        } else if self.width() > at(wide_ppm) {
            DayType::Wide
        } else {
            DayType::Moderate
        }
    }

    /// How this band lies to that of the session before.
    pub fn relation_to(&self, before: &Cpr) -> TwoDay {
        let near = |now: Level, then: Level| (now - then).abs() <= then.abs().scaled(UNCHANGED);
        if near(self.lo, before.lo) && near(self.hi, before.hi) {
            TwoDay::Unchanged
        } else if self.lo > before.hi {
            TwoDay::Higher
        } else if self.hi < before.lo {
            TwoDay::Lower
        } else if self.lo >= before.lo && self.hi <= before.hi {
            TwoDay::Inside
        } else if self.lo < before.lo && self.hi > before.hi {
            TwoDay::Outside
        } else if self.hi > before.hi {
            TwoDay::OverlapHigher
        } else {
            TwoDay::OverlapLower
        }
    }

    /// True when a session's range reaches into the band.
    pub fn is_touched_by(&self, session: &DayCandle) -> bool {
        Level::from(session.high) >= self.lo && Level::from(session.low) <= self.hi
    }
}

impl DayType {
    /// The word shown to people.
    pub const fn as_str(self) -> &'static str {
        match self {
            DayType::Narrow => "NARROW",
            DayType::Moderate => "MODERATE",
            DayType::Wide => "WIDE",
        }
    }
}

impl TwoDay {
    /// The word shown to people.
    pub const fn as_str(self) -> &'static str {
        match self {
            TwoDay::Unchanged => "UNCHANGED",
            TwoDay::Higher => "HIGHER",
            TwoDay::Lower => "LOWER",
            TwoDay::Inside => "INSIDE",
            TwoDay::Outside => "OUTSIDE",
            TwoDay::OverlapHigher => "OVERLAP_HIGHER",
            TwoDay::OverlapLower => "OVERLAP_LOWER",
        }
    }
}

impl ValueTrend {
    /// Judges the last three relationships, oldest first; fewer are mixed.
    pub fn of(relations: &[TwoDay]) -> ValueTrend {
        let Some([a, b, c]) = relations.last_chunk::<3>() else { return ValueTrend::Mixed };
        let all = |wanted: [TwoDay; 2]| [a, b, c].into_iter().all(|known| wanted.contains(known));
        if all([TwoDay::Higher, TwoDay::OverlapHigher]) {
            ValueTrend::Ascending
        } else if all([TwoDay::Lower, TwoDay::OverlapLower]) {
            ValueTrend::Descending
        } else {
            ValueTrend::Mixed
        }
    }
}

/// Bands that their own session and every later one left untouched, among
/// the last `lookback` sessions; nearest first. `sessions` are consecutive
/// regular sessions, oldest first; the date is that of the session on which
/// the band was drawn.
pub fn virgin_bands(sessions: &[DayCandle], lookback: usize) -> Vec<(NaiveDate, Cpr)> {
    let first = sessions.len().saturating_sub(lookback).max(1);
    (first..sessions.len())
        .rev()
        .filter_map(|index| {
            let band = Cpr::of(sessions.get(index - 1)?);
            let since = sessions.get(index..)?;
            let virgin = !since.iter().any(|session| band.is_touched_by(session));
            virgin.then_some((since.first()?.date, band))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Price;

    fn day(date: u32, high: i64, low: i64, close: i64) -> DayCandle {
        DayCandle {
            date: NaiveDate::from_ymd_opt(2026, 11, date).expect("a date"),
            open: Price::from_rupees(close),
            high: Price::from_rupees(high),
            low: Price::from_rupees(low),
            close: Price::from_rupees(close),
        }
    }

    fn band(lo: i64, hi: i64) -> Cpr {
        let (lo, hi) = (Price::from_paise(lo).into(), Price::from_paise(hi).into());
        Cpr { bc: lo, pp: lo, tc: hi, lo, hi, signed: hi - lo }
    }

    #[test]
    fn a_low_close_inverts_tc_and_bc_but_never_the_band() {
        let cpr = Cpr::of(&day(2, 81_200, 80_600, 80_700));
        assert_eq!(cpr.bc.to_decimal(2), "80900.00");
        assert_eq!(cpr.tc.to_decimal(2), "80766.67");
        assert_eq!((cpr.lo, cpr.hi), (cpr.tc, cpr.bc));
        assert_eq!(cpr.signed.to_decimal(2), "-133.33");
        assert_eq!(cpr.width_percent(4), "0.1649");
    }

    #[test]
    fn width_classes_have_moderate_edges() {
        // A band of exactly 0.10 % and of exactly 0.25 % of PP.
        for (width, expected) in [
            (9_999, DayType::Narrow),
            (10_000, DayType::Moderate),
            (25_000, DayType::Moderate),
            (25_001, DayType::Wide),
        ] {
            let cpr = band(10_000_000, 10_000_000 + width);
            assert_eq!(cpr.class(1_000, 2_500), expected, "{width}");
        }
        assert_eq!(Cpr::of(&day(2, 81_200, 80_600, 81_050)).class(1_000, 2_500), DayType::Moderate);
        assert_eq!(Cpr::of(&day(2, 81_200, 80_600, 80_915)).class(1_000, 2_500), DayType::Narrow);
        assert_eq!(Cpr::of(&day(2, 81_400, 80_400, 81_380)).class(1_000, 2_500), DayType::Wide);
    }

    #[test]
    fn every_pair_of_bands_has_one_relation() {
        let before = band(1_000_000, 1_010_000);
        for (lo, hi, expected) in [
            (1_000_200, 1_009_800, TwoDay::Unchanged),
            (1_010_001, 1_020_000, TwoDay::Higher),
            (980_000, 999_999, TwoDay::Lower),
            (1_000_000, 1_009_000, TwoDay::Inside),
            (999_000, 1_011_000, TwoDay::Outside),
            (1_010_000, 1_020_000, TwoDay::OverlapHigher),
            (1_000_000, 1_011_000, TwoDay::OverlapHigher),
            (990_000, 1_000_000, TwoDay::OverlapLower),
            (990_000, 1_010_000, TwoDay::OverlapLower),
        ] {
            assert_eq!(band(lo, hi).relation_to(&before), expected, "{lo}..{hi}");
        }
    }

    #[test]
    fn value_ascends_only_three_times_in_a_row() {
        use TwoDay::{Higher, Inside, Lower, OverlapHigher, OverlapLower};
        assert_eq!(ValueTrend::of(&[Higher, OverlapHigher, Higher]), ValueTrend::Ascending);
        assert_eq!(ValueTrend::of(&[Inside, Lower, OverlapLower, Lower]), ValueTrend::Descending);
        assert_eq!(ValueTrend::of(&[Higher, Inside, Higher]), ValueTrend::Mixed);
        assert_eq!(ValueTrend::of(&[Higher, Higher]), ValueTrend::Mixed);
    }

    #[test]
    fn a_band_is_virgin_until_a_session_reaches_it() {
        let base = day(2, 110, 90, 104); // band 100 ..= 102.67
        let above = day(3, 130, 103, 120); // band of day 4: 116.5 ..= 118.83
        let dip = day(4, 116, 102, 110);
        assert_eq!(dates(&[base, above], 5), [3]);
        assert_eq!(dates(&[base, above, dip], 5), [4]);
        assert_eq!(dates(&[base, above, day(4, 116, 103, 110)], 5), [4, 3]);
        assert_eq!(dates(&[base, above, day(4, 116, 103, 110)], 1), [4]);
        assert_eq!(dates(&[base], 5), [0; 0]);
    }

    fn dates(sessions: &[DayCandle], lookback: usize) -> Vec<u32> {
        use chrono::Datelike;
        virgin_bands(sessions, lookback).into_iter().map(|(date, _)| date.day()).collect()
    }
}
