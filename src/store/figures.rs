//! Figures over any number of trades, for summaries of a day, a week, a
//! month.

use chrono::NaiveDate;

use crate::engine::ledger::{ExitReason, TradeRecord};
use crate::market::Money;

/// What a list of closed trades comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// Closed trades.
    pub trades: u32,
    /// Those with net above zero.
    pub wins: u32,
    /// Those with net at or below zero.
    pub losses: u32,
    /// Result before charges.
    pub gross: Money,
    /// Estimated charges.
    pub charges: Money,
    /// Net result of the best trade.
    pub best: Option<Money>,
    /// Net result of the worst trade.
    pub worst: Option<Money>,
    /// Deepest fall of the running net from its highest point.
    pub max_drawdown: Money,
    /// Trades and their net, by setup, in order of first appearance.
    pub by_setup: Vec<(String, u32, Money)>,
    /// Trades and their net, by reason of exit, in order of first appearance.
    pub by_exit: Vec<(ExitReason, u32, Money)>,
    /// Net result of each day with a trade, in order.
    pub by_day: Vec<(NaiveDate, Money)>,
}

impl Figures {
    /// Adds up the closed ones among `trades`, which are in order of time.
    pub fn of<'a>(trades: impl IntoIterator<Item = &'a TradeRecord>) -> Figures {
        let mut figures = Figures::default();
        let mut highest = Money::ZERO;
        for trade in trades {
            let (true, Some(reason)) = (trade.is_closed(), trade.exit_reason) else { continue };
            let net = trade.net();
            figures.trades += 1;
            figures.wins += u32::from(net > Money::ZERO);
            figures.losses += u32::from(net <= Money::ZERO);
            figures.gross += trade.gross;
            figures.charges += trade.charges;
            figures.best = Some(figures.best.map_or(net, |best| best.max(net)));
            figures.worst = Some(figures.worst.map_or(net, |worst| worst.min(net)));
            highest = highest.max(figures.net());
            figures.max_drawdown = figures.max_drawdown.max(highest - figures.net());
            add(&mut figures.by_setup, &trade.setup, net);
            add(&mut figures.by_exit, &reason, net);
            match figures.by_day.last_mut() {
                Some((day, sum)) if *day == trade.date => *sum += net,
                Some(_) | None => figures.by_day.push((trade.date, net)),
            }
        }
        figures
    }

    /// Gross minus charges.
    pub fn net(&self) -> Money {
        self.gross - self.charges
    }

    /// Net of one trade on average, towards minus infinity to the paisa.
    pub fn average(&self) -> Option<Money> {
        let trades = i64::from(self.trades);
        (trades > 0).then(|| Money::from_paise(self.net().paise().div_euclid(trades)))
    }

    /// Share of trades that won, in hundredths of a percent, halves up.
    pub fn win_rate_bp(&self) -> Option<u32> {
        (self.trades > 0).then(|| (self.wins * 20_000 + self.trades) / (2 * self.trades))
    }
}

fn add<K: Clone + PartialEq>(groups: &mut Vec<(K, u32, Money)>, key: &K, net: Money) {
    match groups.iter_mut().find(|(found, _, _)| found == key) {
        Some((_, count, sum)) => {
            *count += 1;
            *sum += net;
        }
        None => groups.push((key.clone(), 1, net)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::{Wire, sample::Draw};
    use super::*;

    fn trade(day: u32, setup: &str, gross: i64, charges: i64, closed: bool) -> TradeRecord {
        TradeRecord {
            date: NaiveDate::from_ymd_opt(2026, 11, day).unwrap(),
            setup: setup.into(),
            quantity: 20,
            closed_quantity: if closed { 20 } else { 0 },
            exit_reason: Some(ExitReason::Target),
            gross: Money::from_rupees(gross),
            charges: Money::from_rupees(charges),
            ..Wire::sample(&mut Draw::new(1))
        }
    }

    #[test]
    fn adds_up_closed_trades() {
        let trades = [
            trade(23, "R1", 500, 50, true),
            trade(23, "R2", -300, 50, true),
            trade(24, "R1", 40, 50, true),
            trade(24, "R1", 900, 50, false),
        ];
        let figures = Figures::of(&trades);
        let rupees = Money::from_rupees;
        assert_eq!((figures.trades, figures.wins, figures.losses), (3, 1, 2));
        assert_eq!((figures.net(), figures.average()), (rupees(90), Some(rupees(30))));
        assert_eq!((figures.best, figures.worst), (Some(rupees(450)), Some(rupees(-350))));
        assert_eq!(figures.max_drawdown, rupees(360));
        assert_eq!(figures.by_setup[0], ("R1".into(), 2, rupees(440)));
        assert_eq!(
            figures.by_day.iter().map(|day| day.1).collect::<Vec<_>>(),
            [100, -10].map(rupees)
        );
        assert_eq!(figures.win_rate_bp(), Some(3_333));
        assert_eq!(Figures::of([]).average(), None);
    }
}
