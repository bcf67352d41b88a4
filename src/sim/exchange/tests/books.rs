//! Orders, trades, positions and cash agree, whatever a client does.

use proptest::prelude::*;

use super::*;

/// What a client does at random.
#[derive(Debug, Clone)]
enum Act {
    Place { buy: bool, lots: Quantity, percent: i64, stop: bool, ioc: bool },
    Modify { which: usize, percent: i64, lots: Quantity },
    Cancel { which: usize },
    Wait { millis: i64 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (any::<bool>(), 1i64..8, 90i64..110, any::<bool>(), any::<bool>()).prop_map(
            |(buy, lots, percent, stop, ioc)| Act::Place { buy, lots, percent, stop, ioc }
        ),
        (0usize..8, 90i64..110, 1i64..8).prop_map(|(which, percent, lots)| Act::Modify {
            which,
            percent,
            lots
        }),
        (0usize..8).prop_map(|which| Act::Cancel { which }),
        (1i64..90_000).prop_map(|millis| Act::Wait { millis }),
    ]
}

fn perform(exchange: &mut Exchange, acts: &[Act], polled: bool) {
    for act in acts {
        let now = exchange.now;
        let id = |which: usize| exchange.orders.get(which).map(|order| order.row.order_id.clone());
        // Refusals are part of the game.
        match act {
            Act::Place { buy, lots, percent, stop, ioc } => {
                let price = exchange.share_of_last(*percent);
                let side = if *buy { Side::Buy } else { Side::Sell };
                let trigger = exchange.share_of_last(if *buy { percent + 1 } else { percent - 1 });
                let _ = exchange.place(
                    now,
                    NewOrder {
                        order_type: if *stop { OrderType::StopLimit } else { OrderType::Limit },
                        trigger_price: trigger,
                        validity: if *ioc { Validity::Ioc } else { Validity::Day },
                        ..order(side, lots * LOT, price)
                    },
                );
            }
            Act::Modify { which, percent, lots } => {
                let change = Modification {
                    price: Some(exchange.share_of_last(*percent)),
                    quantity: Some(lots * LOT),
                    ..Modification::default()
                };
                if let Some(id) = id(*which) {
                    let _ = exchange.modify(now, &id, &change);
                }
            }
            Act::Cancel { which } => {
                if let Some(id) = id(*which) {
                    let _ = exchange.cancel(now, &id);
                }
            }
            Act::Wait { millis } => {
                let end = now + TimeDelta::milliseconds(*millis);
                while polled && exchange.now < end {
                    exchange.advance(end.min(exchange.now + TimeDelta::milliseconds(333)));
                }
                exchange.advance(end);
            }
        }
    }
}

fn check_books(exchange: &Exchange) {
    let books = exchange.books();
    let mut cash = books.opening_cash;
    let mut held = 0;
    for trade in &books.trades {
        let order = books.orders.iter().find(|row| row.order_id == trade.order_id).unwrap();
        let value = trade.price * trade.quantity;
        match trade.side {
            Side::Buy => (cash, held) = (cash - value, held + trade.quantity),
            Side::Sell => (cash, held) = (cash + value, held - trade.quantity),
        }
        let limits: Vec<Price> =
            exchange.order_history(&order.order_id).unwrap().iter().map(|row| row.price).collect();
        assert!(limits.iter().any(|limit| match trade.side {
            Side::Buy => trade.price <= *limit,
            Side::Sell => trade.price >= *limit,
        }));
        assert_eq!(trade.quantity % LOT, 0);
    }
    assert_eq!(books.cash, cash);
    assert_eq!(books.positions.iter().map(|row| row.quantity).sum::<Quantity>(), held);
    for row in &books.orders {
        let fills = books.trades.iter().filter(|trade| trade.order_id == row.order_id);
        let (units, value) = fills.fold((0, Money::ZERO), |(units, value), trade| {
            (units + trade.quantity, value + trade.price * trade.quantity)
        });
        assert_eq!((row.filled_quantity, row.filled_value), (units, value));
        assert!(row.filled_quantity <= row.quantity);
        assert_eq!(row.status == OrderStatus::Complete, row.filled_quantity == row.quantity);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn books_add_up_however_often_somebody_asks(acts in prop::collection::vec(act(), 1..25)) {
        let mut config = ExchangeConfig::new(7, date());
        config.opening_cash = Money::from_rupees(1_500_000);
        let mut once = exchange_with(config.clone());
        let mut often = exchange_with(config);
        perform(&mut once, &acts, false);
        perform(&mut often, &acts, true);
        check_books(&once);
        prop_assert_eq!(once.books(), often.books());
    }
}
