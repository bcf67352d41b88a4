//! What an order fills for against a book. Pure; the simulated exchange and
//! paper trading share it.

use crate::market::{BookLevel, Price, Quantity, Quote, Side};

/// An order as the matching sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Working {
    /// Buy or sell.
    pub side: Side,
    /// Worst price that it takes.
    pub limit: Price,
    /// Units still wanted.
    pub quantity: Quantity,
    /// True when it meets the book for the first time since it was placed,
    /// modified or triggered. An arriving order takes the book's prices; a
    /// resting one is taken by others, at its own limit.
    pub arriving: bool,
}

/// One execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Price of each unit.
    pub price: Price,
    /// Units.
    pub quantity: Quantity,
}

/// The visible book, best level first on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Book<'a> {
    /// Who buys.
    pub bids: &'a [BookLevel],
    /// Who sells.
    pub asks: &'a [BookLevel],
}

/// The executions of an order against the book as it stands. Never outside
/// the order's limit, never more than the order wants or the book shows.
pub fn fills(order: &Working, book: Book<'_>) -> Vec<Fill> {
    let opposite = match order.side {
        Side::Buy => book.asks,
        Side::Sell => book.bids,
    };
    let mut left = order.quantity;
    let mut executions: Vec<Fill> = Vec::new();
    for level in opposite {
        if left <= 0 || level.quantity <= 0 || !accepts(order.side, order.limit, level.price) {
            break;
        }
        let quantity = left.min(level.quantity);
        let price = if order.arriving { level.price } else { order.limit };
        left -= quantity;
        match executions.last_mut() {
            Some(last) if last.price == price => last.quantity += quantity,
            Some(_) | None => executions.push(Fill { price, quantity }),
        }
    }
    executions
}

/// The executions of an order against the best level of a quote, which is all
/// that a feed in quote mode shows.
pub fn fills_at_touch(order: &Working, quote: &Quote) -> Vec<Fill> {
    fills(order, Book { bids: quote.bid.as_slice(), asks: quote.ask.as_slice() })
}

/// True when a trade at `last` wakes a stop order.
pub fn is_triggered(side: Side, trigger: Price, last: Price) -> bool {
    match side {
        Side::Buy => last >= trigger,
        Side::Sell => last <= trigger,
    }
}

fn accepts(side: Side, limit: Price, price: Price) -> bool {
    match side {
        Side::Buy => price <= limit,
        Side::Sell => price >= limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(paise: i64, quantity: Quantity) -> BookLevel {
        BookLevel { price: Price::from_paise(paise), quantity }
    }

    #[test]
    fn walks_the_book_within_the_limit() {
        let asks = [level(41_200, 20), level(41_210, 40), level(41_300, 100)];
        let bids = [level(41_150, 20), level(41_100, 60)];
        let book = Book { bids: &bids, asks: &asks };
        let check = |side, limit: i64, quantity, arriving, expected: &[(i64, Quantity)]| {
            let order = Working { side, limit: Price::from_paise(limit), quantity, arriving };
            let found: Vec<(i64, Quantity)> = fills(&order, book)
                .iter()
                .map(|fill| (fill.price.paise(), fill.quantity))
                .collect();
            assert_eq!(found, expected, "{order:?}");
        };
        check(Side::Buy, 41_199, 20, true, &[]);
        check(Side::Buy, 41_200, 20, true, &[(41_200, 20)]);
        check(Side::Buy, 41_250, 100, true, &[(41_200, 20), (41_210, 40)]);
        check(Side::Buy, 41_250, 100, false, &[(41_250, 60)]);
        check(Side::Sell, 41_100, 100, true, &[(41_150, 20), (41_100, 60)]);
        check(Side::Sell, 41_120, 40, false, &[(41_120, 20)]);
        check(Side::Sell, 41_151, 40, true, &[]);
    }

    #[test]
    fn stops_wake_at_their_trigger() {
        let at = Price::from_paise;
        assert!(is_triggered(Side::Sell, at(28_840), at(28_840)));
        assert!(!is_triggered(Side::Sell, at(28_840), at(28_845)));
        assert!(is_triggered(Side::Buy, at(28_840), at(28_840)));
        assert!(!is_triggered(Side::Buy, at(28_840), at(28_835)));
    }
}
