//! Figures of a list of trades.

use std::collections::BTreeMap;

use super::trades::{Reason, Trade};
use crate::engine::ledger::Direction;
use crate::market::charges::{ChargeSegment, Leg, estimate};
use crate::market::{Exchange, Money, Price, Quantity, Side, time::ist_date};

/// What is traded, for an estimate of charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lot {
    /// Units of each trade.
    pub quantity: Quantity,
    /// Kind of instrument.
    pub segment: ChargeSegment,
    /// Where it trades.
    pub exchange: Exchange,
}

/// Figures of all trades together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Round trips.
    pub trades: usize,
    /// Those that gained.
    pub wins: usize,
    /// Gain of one unit, all trades together.
    pub points: Price,
    /// Largest fall of that sum from an earlier peak.
    pub drawdown: Price,
    /// Trades and their points by the reason of the exit.
    pub by_reason: BTreeMap<Reason, (usize, Price)>,
    /// Figures in money, when a lot was given.
    pub money: Option<MoneyFigures>,
}

/// Figures of a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoneyFigures {
    /// Gain before charges.
    pub gross: Money,
    /// Estimated charges.
    pub charges: Money,
    /// Gain after charges.
    pub net: Money,
}

impl Report {
    /// Counts the trades, in order of time.
    pub fn of(trades: &[Trade], lot: Option<Lot>) -> Report {
        let mut report = Report {
            trades: trades.len(),
            wins: 0,
            points: Price::ZERO,
            drawdown: Price::ZERO,
            by_reason: BTreeMap::new(),
            money: lot.map(|lot| money(trades, lot)),
        };
        let mut peak = Price::ZERO;
        for trade in trades {
            let points = trade.points();
            report.wins += usize::from(points > Price::ZERO);
            report.points += points;
            peak = peak.max(report.points);
            report.drawdown = report.drawdown.max(peak - report.points);
            let (count, sum) = report.by_reason.entry(trade.reason).or_default();
            *count += 1;
            *sum += points;
        }
        report
    }

    /// Share of trades that gained, in hundredths of a percent.
    pub fn win_rate_bp(&self) -> Option<usize> {
        (self.wins * 10_000).checked_div(self.trades)
    }
}

fn money(trades: &[Trade], lot: Lot) -> MoneyFigures {
    let gross: Money = trades.iter().map(|trade| trade.points() * lot.quantity).sum();
    let charges = trades.iter().map(|trade| charges(trade, lot)).sum();
    MoneyFigures { gross, charges, net: gross - charges }
}

fn charges(trade: &Trade, lot: Lot) -> Money {
    let (entry, exit) = match trade.direction {
        Direction::Long => (Side::Buy, Side::Sell),
        Direction::Short => (Side::Sell, Side::Buy),
    };
    let legs =
        [Leg::at(entry, lot.quantity, trade.entry, 1), Leg::at(exit, lot.quantity, trade.exit, 1)];
    estimate(lot.segment, lot.exchange, ist_date(trade.exited_at), &legs).total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::time::{from_ist, hms};

    #[test]
    fn counts_wins_drawdown_and_charges() {
        let at = from_ist(chrono::NaiveDate::from_ymd_opt(2026, 11, 23).unwrap(), hms(10, 0, 0));
        let trade = |direction, entry: i64, exit: i64, reason| Trade {
            direction,
            entered_at: at,
            entry: Price::from_rupees(entry),
            exited_at: at,
            exit: Price::from_rupees(exit),
            reason,
        };
        let trades = [
            trade(Direction::Long, 25_000, 25_080, Reason::Target),
            trade(Direction::Short, 25_000, 25_030, Reason::Stop),
            trade(Direction::Long, 25_000, 24_980, Reason::Stop),
            trade(Direction::Short, 25_000, 24_990, Reason::SquareOff),
        ];
        let lot = Lot { quantity: 65, segment: ChargeSegment::Futures, exchange: Exchange::Nfo };
        let report = Report::of(&trades, Some(lot));
        assert_eq!((report.trades, report.wins, report.win_rate_bp()), (4, 2, Some(5_000)));
        assert_eq!(report.points, Price::from_rupees(40));
        assert_eq!(report.drawdown, Price::from_rupees(50));
        assert_eq!(report.by_reason[&Reason::Stop], (2, Price::from_rupees(-50)));
        let one = Report::of(&trades[..1], Some(lot)).money.unwrap();
        assert_eq!(one.charges.to_string(), "969.34");
        assert_eq!(one.net.to_string(), "4230.66");
        assert_eq!(Report::of(&[], None).win_rate_bp(), None);
    }
}
