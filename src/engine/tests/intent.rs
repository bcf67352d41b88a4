//! Where one order stands: what rows, order books and their want say of it.

use chrono::TimeDelta;

use super::fixture::*;
use super::scenarios::s1_open;
use crate::engine::event::CommandId;
use crate::engine::intents::{End, Intent, Request, RequestKind, Stage};
use crate::engine::ledger::{IntentId, Role};
use crate::market::{
    BrokerOrder, Money, OrderChange, OrderStatus, OrderType, Price, Quantity, Timestamp,
};

/// The resting stop of S1 for 20 units, and its row.
fn stop() -> (Intent, BrokerOrder) {
    let (rig, _) = s1_open();
    (rig.engine.intents[&IntentId(2)].clone(), rig.broker.last_own().clone())
}

fn later(from: Timestamp, seconds: i64) -> Timestamp {
    from + TimeDelta::seconds(seconds)
}

fn request(intent: &Intent) -> Option<Request> {
    Some(Request {
        command: CommandId { seq: 900, index: 0 },
        kind: RequestKind::Modify,
        sent_at: intent.decided_at,
        before: intent.asked,
    })
}

fn filled(row: &BrokerOrder, units: Quantity) -> BrokerOrder {
    let (filled, filled_value) = (units, p("280") * units);
    BrokerOrder { filled, filled_value, ..row.clone() }
}

const PENDING: fn() -> OrderStatus = || OrderStatus::Pending("MODIFY PENDING".into());

#[test]
fn what_may_still_fill_is_the_larger_of_asked_and_shown_while_a_change_is_open() {
    let check = |asked, shown, filled, change: fn(&mut Intent), open: Quantity| {
        let (mut intent, _) = stop();
        intent.asked.quantity = asked;
        intent.intended = intent.intended.max(asked);
        intent.seen.as_mut().unwrap().terms.quantity = shown;
        intent.filled = filled;
        change(&mut intent);
        assert_eq!(intent.open_quantity(), open, "{asked} {shown} {filled}");
    };
    let requested: fn(&mut Intent) = |intent| intent.request = request(intent);
    let doubted: fn(&mut Intent) = |intent| intent.doubt = Some(intent.decided_at);
    check(20, 20, 0, |_| {}, 20);
    check(20, 20, 5, |_| {}, 15);
    check(10, 20, 0, |_| {}, 10);
    check(10, 20, 0, requested, 20);
    check(10, 20, 0, doubted, 20);
    check(30, 20, 5, requested, 25);
    check(20, 40, 0, requested, 20); // somebody else made it larger
    check(10, 10, 15, |_| {}, 0);
    check(20, 20, 0, |intent| intent.stage = Stage::Missing, 0);
    check(20, 20, 0, |intent| intent.stage = Stage::Ended(End::Cancelled), 0);
}

#[test]
fn the_broker_may_still_fill_the_larger_of_asked_and_shown() {
    for (asked, shown, filled, open) in [(20, 20, 5, 15), (10, 20, 5, 15), (30, 20, 5, 25)] {
        let (mut intent, _) = stop();
        intent.asked.quantity = asked;
        intent.seen.as_mut().unwrap().terms.quantity = shown;
        intent.filled = filled;
        assert_eq!(intent.open_at_broker(), open);
        intent.stage = Stage::Missing;
        assert_eq!(intent.open_at_broker(), 0);
    }
}

#[test]
fn a_stop_protects_while_it_waits_or_works_for_as_many_units() {
    let check = |change: fn(&mut Intent), units, rests: bool| {
        let (mut intent, _) = stop();
        change(&mut intent);
        assert_eq!(intent.rests_as_stop(units), rests, "{units} {:?}", intent.seen);
    };
    check(|_| {}, 20, true);
    check(|_| {}, 21, false);
    check(|it| it.filled = 5, 15, true);
    check(|it| it.filled = 5, 16, false);
    check(|it| it.seen.as_mut().unwrap().status = OrderStatus::Open, 20, true);
    check(|it| it.seen.as_mut().unwrap().status = PENDING(), 20, false);
    check(|it| it.seen.as_mut().unwrap().status = OrderStatus::Cancelled, 20, false);
    check(|it| it.seen.as_mut().unwrap().terms.order_type = OrderType::Limit, 20, false);
    check(|it| it.stage = Stage::Missing, 20, false);
    check(|it| it.seen = None, 0, false);
}

#[test]
fn a_stop_has_woken_when_it_works_or_filled_and_is_a_stop_still() {
    // (woken, filled as a stop)
    let check = |change: fn(&mut Intent), expected: (bool, bool)| {
        let (mut intent, _) = stop();
        change(&mut intent);
        assert_eq!((intent.is_triggered(), intent.filled_as_stop()), expected);
    };
    let open: fn(&mut Intent) = |it| it.seen.as_mut().unwrap().status = OrderStatus::Open;
    check(|_| {}, (false, false));
    check(open, (true, false));
    check(|it| it.filled = 5, (true, true));
    check(
        |it| {
            it.filled = 5;
            it.role = Role::Exit;
        },
        (false, true),
    );
    check(
        |it| {
            it.filled = 5;
            it.seen.as_mut().unwrap().terms.order_type = OrderType::Limit;
        },
        (false, false),
    );
    check(|it| it.seen = None, (false, false));
}

#[test]
fn fills_only_grow_and_a_later_one_is_taken_in_after_the_end() {
    let (mut intent, row) = stop();
    let at = later(intent.decided_at, 60);
    assert!(intent.absorb(&filled(&row, 5), None, at));
    assert_eq!((intent.filled, intent.filled_value), (5, p("280") * 5));
    let before = intent.clone();
    assert!(!intent.absorb(&filled(&row, 4), Some(at), at), "an older row");
    assert_eq!(intent, before);
    let mut same = filled(&row, 5);
    same.filled_value = Money::ZERO;
    assert!(!intent.absorb(&same, Some(at), at));
    assert_eq!(intent.filled_value, p("280") * 5, "the value belongs to the fill");
    intent.end(End::Cancelled, at);
    let ended = intent.clone();
    let mut again = filled(&row, 5);
    again.status_message = Some("again".into());
    assert!(!intent.absorb(&again, Some(at), later(at, 1)));
    assert_eq!(intent, ended, "told twice");
    assert!(intent.absorb(&filled(&row, 7), Some(at), later(at, 1)));
    assert_eq!((intent.filled, intent.stage), (7, Stage::Ended(End::Cancelled)));
}

#[test]
fn a_row_shows_its_terms_unless_it_is_a_hint_older_than_the_last() {
    let seen = |seconds: i64, status: OrderStatus, is_hint: bool| {
        let (mut intent, mut row) = stop();
        let shown_at = row.updated_at.unwrap();
        row.updated_at = Some(later(shown_at, seconds));
        (row.status, row.price) = (status, p("111"));
        let book = (!is_hint).then_some(later(shown_at, 60));
        intent.absorb(&row, book, later(shown_at, 60));
        intent.seen.unwrap().terms.price == p("111")
    };
    assert!(seen(0, OrderStatus::Open, true));
    assert!(seen(5, OrderStatus::Open, true));
    assert!(!seen(-5, OrderStatus::Open, true));
    assert!(seen(-5, OrderStatus::Open, false), "the book shows what stands");
    assert!(seen(-5, OrderStatus::Cancelled, true), "an end is an end");
}

#[test]
fn a_trigger_of_zero_is_none() {
    for (trigger, shown) in [("0", None), ("288.40", Some("288.40")), ("0.05", Some("0.05"))] {
        let (mut intent, mut row) = stop();
        row.trigger = p(trigger);
        intent.absorb(&row, Some(intent.decided_at), intent.decided_at);
        assert_eq!(intent.seen.unwrap().terms.trigger, shown.map(p));
    }
}

#[test]
fn a_stop_that_becomes_a_limit_order_has_no_trigger_any_more() {
    let (mut intent, _) = stop();
    let trigger = intent.asked.trigger;
    intent.ask(&OrderChange { quantity: Some(30), ..OrderChange::default() });
    assert_eq!((intent.asked.trigger, intent.asked.quantity, intent.intended), (trigger, 30, 30));
    let order_type = Some(OrderType::StopLimit);
    intent.ask(&OrderChange { order_type, quantity: Some(5), ..OrderChange::default() });
    assert_eq!((intent.asked.trigger, intent.asked.quantity, intent.intended), (trigger, 5, 30));
    intent.ask(&OrderChange { order_type: Some(OrderType::Limit), ..OrderChange::default() });
    assert_eq!((intent.asked.trigger, intent.changes), (None, 3));
}

/// After a change was asked for at another price, `answered` and `doubted`
/// seconds after the decision: whether a book read at `read` makes the
/// broker's terms ours, and whether the doubt is over.
fn settles(change: fn(&mut Intent, &mut BrokerOrder), read: i64) -> (bool, bool) {
    let (mut intent, mut row) = stop();
    let decided = intent.decided_at;
    intent.answered_at = Some(later(decided, 10));
    intent.asked.price = p("111");
    change(&mut intent, &mut row);
    intent.absorb(&row, Some(later(decided, read)), later(decided, 60));
    (intent.asked.price == row.price, intent.doubt.is_none())
}

#[test]
fn an_accepted_change_that_the_book_does_not_show_in_two_seconds_was_not_made() {
    assert_eq!(settles(|_, _| {}, 11), (false, true));
    assert_eq!(settles(|_, _| {}, 12), (true, true));
    assert_eq!(settles(|it, _| it.answered_at = None, 2), (true, true));
    assert_eq!(settles(|it, _| it.request = request(it), 12), (false, true), "asked again");
    assert_eq!(settles(|_, row| row.status = PENDING(), 12), (false, true), "being made");
}

#[test]
fn a_difference_in_any_term_is_one() {
    for change in [
        |row: &mut BrokerOrder| row.price = p("1"),
        |row: &mut BrokerOrder| row.quantity = 7,
        |row: &mut BrokerOrder| row.order_type = OrderType::Limit,
    ] {
        let (mut intent, mut row) = stop();
        change(&mut row);
        let read = later(intent.decided_at, 30);
        intent.absorb(&row, Some(read), read);
        assert_eq!((intent.asked.price, intent.asked.quantity), (row.price, row.quantity));
        assert_eq!(intent.asked.order_type, row.order_type);
    }
    // What stands as it was asked for keeps the trigger that was asked for.
    let (mut intent, mut row) = stop();
    let asked = intent.asked;
    row.trigger = Price::ZERO;
    let read = later(intent.decided_at, 30);
    intent.absorb(&row, Some(read), read);
    assert_eq!(intent.asked, asked);
}

#[test]
fn a_doubtful_change_is_settled_by_a_book_read_after_it() {
    let doubt: fn(&mut Intent, &mut BrokerOrder) =
        |it, _| it.doubt = Some(later(it.decided_at, 20));
    assert_eq!(settles(doubt, 19), (false, false));
    assert_eq!(settles(doubt, 20), (true, true));
}

#[test]
fn only_complete_books_read_after_the_answer_make_an_order_missing() {
    let check = |stage: fn(Timestamp) -> Stage, reads: &[i64], missing: bool, absent: u32| {
        let (mut intent, _) = stop();
        let decided = intent.decided_at;
        intent.answered_at = Some(later(decided, 10));
        intent.stage = stage(later(decided, 10));
        for &read in reads {
            intent.not_in_book(later(decided, read), later(decided, read));
        }
        assert_eq!(intent.stage == Stage::Missing, missing, "{reads:?}");
        assert_eq!((intent.was_missing, intent.absent), (missing, absent), "{reads:?}");
    };
    let unsure: fn(Timestamp) -> Stage = |since| Stage::Unsure { since, refused: false };
    for stage in [unsure, |_| Stage::Working] {
        check(stage, &[10, 11, 12], false, 3);
        check(stage, &[10, 13], false, 2);
        check(stage, &[10, 11, 13], true, 3);
        check(stage, &[9, 10, 13], false, 2);
    }
    for stage in [|_| Stage::Sending, |_| Stage::Ended(End::Complete)] {
        check(stage, &[10, 11, 13, 20], false, 0);
    }
}

#[test]
fn a_refusal_is_believed_after_one_book_and_a_request_keeps_all_open() {
    let (mut intent, _) = stop();
    let since = intent.decided_at;
    intent.stage = Stage::Unsure { since, refused: true };
    let mut asked = intent.clone();
    intent.not_in_book(later(since, -1), since);
    assert_eq!(intent.stage, Stage::Unsure { since, refused: true }, "read before the answer");
    intent.not_in_book(since, since);
    assert_eq!(intent.stage, Stage::Ended(End::Refused));
    asked.request = request(&asked);
    asked.not_in_book(later(since, 5), later(since, 5));
    assert_eq!(asked.absent, 0);
}

#[test]
fn only_the_order_book_can_tell_of_what_is_in_doubt() {
    let check = |change: fn(&mut Intent), doubtful: bool| {
        let (mut intent, _) = stop();
        change(&mut intent);
        assert_eq!(intent.is_doubtful(), doubtful, "{:?}", intent.stage);
    };
    check(|_| {}, false);
    check(|it| it.doubt = Some(it.decided_at), true);
    check(|it| it.absent = 1, true);
    check(|it| it.stage = Stage::Unsure { since: it.decided_at, refused: false }, true);
    check(|it| it.stage = Stage::Missing, false);
}

#[test]
fn an_end_is_written_once_and_again_when_a_later_fill_comes() {
    let (mut intent, _) = stop();
    assert!(!intent.is_written(), "it goes on");
    intent.end(End::Cancelled, intent.decided_at);
    assert!(!intent.is_written(), "written, but not its end");
    intent.recorded = Some(intent.record());
    assert!(intent.is_written());
    intent.filled = 5;
    assert!(!intent.is_written());
    intent.recorded = None;
    assert!(!intent.is_written());
}

#[test]
fn a_record_says_in_one_word_where_an_order_stands() {
    let check = |change: fn(&mut Intent), status: &str| {
        let (mut intent, _) = stop();
        change(&mut intent);
        assert_eq!(intent.record().status, status);
    };
    check(|_| {}, "TRIGGER PENDING");
    check(|it| it.seen = None, "SENT");
    check(|it| it.doubt = Some(it.decided_at), "UNKNOWN");
    check(|it| it.stage = Stage::Sending, "SENDING");
    check(|it| it.stage = Stage::Missing, "MISSING");
    check(|it| it.stage = Stage::Ended(End::Refused), "REFUSED");
    check(|it| it.stage = Stage::Ended(End::Rejected), "REJECTED");
}
