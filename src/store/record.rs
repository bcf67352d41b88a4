//! The engine's and the market's values in the form of [`super::wire`].

use serde_json::Value;

use super::wire::{Malformed, Wire, text, wire_enum, wire_struct, wire_words};
use crate::engine::command::Fetch;
use crate::engine::day::{Carried, CarriedHold, DayPlan, History};
use crate::engine::event::{CommandId, OperatorAction};
use crate::engine::ledger::{
    DaySummary, Decision, Direction, ExitReason, Fact, IntentId, LimitRecord, OrderRecord,
    Permission, Role, StateRecord, TradeRecord, Verdict,
};
use crate::engine::notice::{Notice, NoticeKind, Severity};
use crate::engine::settings::{Limit, Mode};
use crate::market::{
    BookLevel, BrokerOrder, BrokerPosition, Candle, DayCandle, Exchange, Instrument, InstrumentKey,
    InstrumentKind, Money, OrderChange, OrderId, OrderRequest, OrderStatus, OrderType, Price,
    Product, Quote, Side, Tag,
};

/// Writes and reads a newtype as what it holds.
macro_rules! wire_inner {
    ($type:ty, |$value:ident| $get:expr, $make:expr) => {
        impl Wire for $type {
            fn write(&self) -> Value {
                let $value = self;
                Wire::write(&$get)
            }
            fn read(value: &Value) -> Result<$type, Malformed> {
                Wire::read(value).map($make)
            }
            #[cfg(test)]
            fn sample(draw: &mut super::wire::sample::Draw) -> $type {
                $make(Wire::sample(draw))
            }
        }
    };
}

wire_inner!(Price, |price| price.paise(), Price::from_paise);
wire_inner!(Money, |money| money.paise(), Money::from_paise);
wire_inner!(OrderId, |id| id.0, OrderId);
wire_inner!(IntentId, |id| id.0, IntentId);

wire_words!(Side, "BUY or SELL", [Side::Buy, Side::Sell]);
wire_words!(
    OrderType,
    "an order type",
    [OrderType::Market, OrderType::Limit, OrderType::StopLimit, OrderType::StopMarket]
);
wire_words!(Product, open, [Product::Mis, Product::Nrml, Product::Other("NEW".into())]);
wire_words!(
    OrderStatus,
    open,
    [
        OrderStatus::Pending("OPEN PENDING".into()),
        OrderStatus::Open,
        OrderStatus::TriggerPending,
        OrderStatus::Complete,
        OrderStatus::Cancelled,
        OrderStatus::Rejected,
    ]
);
wire_words!(
    Exchange,
    "an exchange",
    [Exchange::Nse, Exchange::Bse, Exchange::Nfo, Exchange::Bfo, Exchange::Mcx]
);
wire_words!(Mode, "demo, paper or live", [Mode::Demo, Mode::Paper, Mode::Live]);
wire_words!(NoticeKind, "a kind of notice", NoticeKind::ALL);
wire_words!(ExitReason, "an exit reason", ExitReason::ALL);

wire_enum!(InstrumentKind { Index, Equity, Future, Call, Put });
wire_enum!(Direction { Long, Short });
wire_enum!(Verdict { Quiet, Rejected, Enter });
wire_enum!(Role { Entry, Stop, Exit });
wire_enum!(Permission { Active, Reducing, Halted });
wire_enum!(Severity { Info, Warning, Critical });
wire_enum!(Limit { Lots, Trades, ReEntries, DailyLoss });

impl Wire for Tag {
    fn write(&self) -> Value {
        Value::from(self.as_str())
    }
    fn read(value: &Value) -> Result<Tag, Malformed> {
        Tag::new(text(value)?).ok_or_else(|| Malformed::new("a tag"))
    }
    #[cfg(test)]
    fn sample(draw: &mut super::wire::sample::Draw) -> Tag {
        Tag::new(format!("P{}", draw.integer())).unwrap()
    }
}

impl Wire for InstrumentKey {
    fn write(&self) -> Value {
        Value::from(self.to_string())
    }
    fn read(value: &Value) -> Result<InstrumentKey, Malformed> {
        InstrumentKey::parse(text(value)?).ok_or_else(|| Malformed::new("EXCHANGE:SYMBOL"))
    }
    #[cfg(test)]
    fn sample(draw: &mut super::wire::sample::Draw) -> InstrumentKey {
        const SYMBOLS: [&str; 4] = ["SENSEX", "NIFTY26NOV25000CE", "M&M", "NIFTY 50"];
        InstrumentKey::new(Exchange::sample(draw), SYMBOLS[draw.below(SYMBOLS.len())])
    }
}

wire_struct!(CommandId { seq, index });
wire_struct!(Fetch { orders, positions, margins });
wire_struct!(Candle { start, open, high, low, close, volume });
wire_struct!(DayCandle { date, open, high, low, close });
wire_struct!(Instrument { key, token, name, kind, expiry, strike, tick, lot });
wire_struct!(BookLevel { price, quantity });
wire_struct!(Quote { instrument, at, last, bid, ask, ask_depth, volume, open_interest, reference });
wire_struct!(OrderRequest { instrument, side, order_type, product, quantity, price, trigger, tag });
wire_struct!(OrderChange { order_type, quantity, price, trigger });
wire_struct!(BrokerOrder {
    order_id,
    tag,
    exchange_order_id,
    status,
    status_message,
    instrument,
    side,
    order_type,
    product,
    quantity,
    filled,
    filled_value,
    price,
    trigger,
    placed_at,
    updated_at
});
wire_struct!(BrokerPosition {
    instrument,
    product,
    quantity,
    bought,
    bought_value,
    sold,
    sold_value,
    last_price
});
wire_struct!(History { instrument, previous, candles });
wire_struct!(DayPlan {
    date,
    open,
    close,
    candle_s,
    settings,
    signal,
    strike_step,
    histories,
    contracts,
    available,
    week_net,
    month_net,
    late,
    limits
});

wire_struct!(Notice { kind, severity, mode, at, trade, once, headline, fields, footer });
wire_struct!(Decision { instrument, candle, at, verdict, reason, direction, level, numbers });
wire_struct!(TradeRecord {
    trade_id,
    date,
    signal,
    contract,
    kind,
    strike,
    direction,
    setup,
    structure,
    candle,
    first_candle,
    re_entry,
    quantity,
    entered_at,
    entry_value,
    stop,
    first_target,
    target,
    resting_stop,
    closed_quantity,
    exited_at,
    exit_value,
    exit_reason,
    candles_held,
    gross,
    charges,
    levels
});
wire_struct!(OrderRecord {
    intent,
    date,
    trade_id,
    role,
    tag,
    order_id,
    instrument,
    side,
    order_type,
    quantity,
    price,
    trigger,
    status,
    message,
    filled,
    filled_value,
    decided_at,
    answered_at,
    ended_at,
    changes
});
wire_struct!(LimitRecord { limit, value, date, at_once, actor });
wire_struct!(CarriedHold { reason, actor, since });
wire_struct!(Carried { holds, open, session_alive, feed_up });
wire_struct!(StateRecord { permission, reason, actor, since });
wire_struct!(DaySummary {
    date,
    instrument,
    trades,
    wins,
    losses,
    gross,
    charges,
    max_drawdown,
    by_setup,
    by_exit,
    first_candle_entries,
    flat
});
wire_enum!(Fact {
    Decision(decision),
    Trade(trade),
    Order(order),
    State(state),
    Answer { request, done, text },
    Limit(limit),
    Day(summary),
});
wire_enum!(OperatorAction {
    Enable { confirmed },
    Disable,
    Panic { all },
    Exit,
    Arm,
    Set { limit, value },
});
