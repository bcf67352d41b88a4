//! Events and commands in the form in which the journal keeps them.

use crate::engine::command::Command;
use crate::engine::event::{Event, FeedState, OperatorCommand, Outcome, Refusal, Snapshot};
use crate::store::wire::{Variants, wire_enum, wire_struct};

/// Version of the form. Raised when a reader of the form before could take
/// a record for something else; added fields and variants do not raise it.
pub const VERSION: u32 = 1;

wire_enum!(FeedState { Up, Down });
wire_enum!(Refusal { Input, Margin, Holding, Order, Permission, Session, RateLimit, Gate });
wire_enum!(Outcome {
    Accepted { order_id },
    Refused { refusal, message },
    Unknown { message },
});
wire_struct!(Snapshot { command, taken_at, complete, orders, positions, available });
wire_struct!(OperatorCommand { request, actor, asked_at, action });
wire_enum!(Event {
    NewDate(carried),
    Day(plan),
    Quotes(quotes),
    Candle { instrument, candle, sound },
    Feed(state),
    Order(order),
    Outcome { command, outcome },
    Snapshot(snapshot),
    Operator(command),
    Deadline,
    Restarted,
    ClockJumped { by_ms },
    Session { alive },
});
wire_enum!(Command {
    Submit { intent, reduces, order },
    Modify { intent, order_id, change },
    Cancel { intent, order_id },
    Fetch(fetch),
    Watch(instruments),
    Say(notice),
    Record(fact),
});

/// Names of the kinds of events, as in the journal's `kind` column.
pub const EVENT_KINDS: &[&str] = <Event as Variants>::NAMES;
