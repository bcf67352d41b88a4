//! Calls that change orders: one request and one outcome each, whatever the
//! broker does.

use pivot_trading::engine::event::{Outcome, Refusal};
use pivot_trading::kite::{Lane, OrderBudget};
use pivot_trading::market::{
    BrokerOrder, Exchange, InstrumentKey, OrderChange, OrderId, OrderRequest, OrderStatus,
    OrderType, Price, Product, Side, Tag,
};

use super::Desk;

/// Buys one share far below the market, so that it rests.
fn resting(tag: &str) -> OrderRequest {
    OrderRequest {
        instrument: InstrumentKey::new(Exchange::Nse, "RELIANCE"),
        side: Side::Buy,
        order_type: OrderType::Limit,
        product: Product::Mis,
        quantity: 1,
        price: Price::ZERO,
        trigger: None,
        tag: Tag::new(tag).unwrap(),
    }
}

async fn below_market(desk: &Desk, tag: &str) -> OrderRequest {
    let order = resting(tag);
    let quotes = desk.client.quote(std::slice::from_ref(&order.instrument)).await.unwrap();
    let last = quotes.rows[0].quote.last;
    OrderRequest { price: last.scale_floor(95, 100).floor_to(Price::from_rupees(1)), ..order }
}

fn accepted(outcome: Outcome) -> OrderId {
    let Outcome::Accepted { order_id } = outcome else {
        panic!("expected accepted, was {outcome:?}")
    };
    order_id
}

/// The order of this id once it has come to the state, or fails.
async fn until(desk: &Desk, id: &OrderId, wanted: &OrderStatus) -> BrokerOrder {
    for _ in 0..200 {
        let book = desk.client.orders().await.unwrap();
        let row = book.rows.into_iter().find(|row| row.order_id == *id);
        if let Some(row) = row.filter(|row| row.status == *wanted) {
            return row;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{id} did not become {wanted}");
}

#[tokio::test]
async fn an_order_lives_from_placing_to_cancelling() {
    let desk = Desk::open().await;
    let order = below_market(&desk, "P1123T001E1").await;
    let needed = desk.client.order_margins(std::slice::from_ref(&order)).await.unwrap();
    assert!(needed.complete() && needed.rows[0].total.paise() > 0);
    let charges = desk.client.order_charges(std::slice::from_ref(&order)).await.unwrap();
    assert!(charges.complete() && charges.rows[0].charges.total.paise() > 0);

    let id = accepted(desk.client.submit(&order, Lane::Entry).await);
    let row = until(&desk, &id, &OrderStatus::Open).await;
    assert_eq!((row.tag.as_ref(), row.price, row.filled), (Some(&order.tag), order.price, 0));
    let price = order.price + Price::from_rupees(1);
    let change = OrderChange { price: Some(price), ..OrderChange::default() };
    assert_eq!(accepted(desk.client.modify(&id, &change).await), id);
    for _ in 0..200 {
        if until(&desk, &id, &OrderStatus::Open).await.price == price {
            break;
        }
    }
    assert_eq!(accepted(desk.client.cancel(&id).await), id);
    until(&desk, &id, &OrderStatus::Cancelled).await;
    let history = desk.client.order_history(&id).await.unwrap();
    assert!(history.complete() && history.rows.len() > 2);
    assert!(desk.client.order_trades(&id).await.unwrap().rows.is_empty());

    let outcome = desk.client.cancel(&id).await;
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_lost_or_doubtful_answer_is_unknown_and_never_repeated() {
    let desk = Desk::open().await;
    let faults = [
        ("response_lost_after_place", "1"),
        ("place_times_out_but_exists", "1"),
        ("place_times_out_not_placed", "1"),
        ("http_next", "502:1:/orders"),
        ("http_next", "504:1:/orders"),
    ];
    for (index, (name, value)) in faults.into_iter().enumerate() {
        let order = below_market(&desk, &format!("UNKNOWN{index}")).await;
        let before = desk.requests("POST", "/orders").await;
        desk.fault(name, value).await;
        let outcome = desk.client.submit(&order, Lane::Exit).await;
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{name}: {outcome:?}");
        assert_eq!(desk.requests("POST", "/orders").await, before + 1, "{name}");
    }
    let book = desk.client.orders().await.unwrap();
    assert_eq!(book.rows.len(), 2, "two of them exist all the same");
}

#[tokio::test]
async fn a_clear_no_is_a_refusal() {
    let desk = Desk::open().await;
    let order = below_market(&desk, "REFUSED").await;
    let refusal = |outcome: Outcome| match outcome {
        Outcome::Refused { refusal, .. } => Some(refusal),
        Outcome::Accepted { .. } | Outcome::Unknown { .. } => None,
    };
    desk.fault("rate_limit_429_next", 1).await;
    let outcome = desk.client.submit(&order, Lane::Exit).await;
    assert_eq!(refusal(outcome), Some(Refusal::RateLimit));
    desk.fault("ip_refused", "permission").await;
    let outcome = desk.client.submit(&order, Lane::Exit).await;
    assert_eq!(refusal(outcome), Some(Refusal::Permission));
    desk.fault("ip_refused", "general").await;
    let outcome = desk.client.submit(&order, Lane::Exit).await;
    assert_eq!(refusal(outcome), None, "an unclassified error proves nothing");
    desk.fault("ip_refused", "off").await;
    let off_tick = OrderRequest { price: order.price + Price::from_paise(1), ..order.clone() };
    let outcome = desk.client.submit(&off_tick, Lane::Exit).await;
    assert_eq!(refusal(outcome), Some(Refusal::Input));
    desk.fault("token_expired", true).await;
    let outcome = desk.client.submit(&order, Lane::Exit).await;
    assert_eq!(refusal(outcome), Some(Refusal::Session));
    desk.client.clear_session();
    let outcome = desk.client.submit(&order, Lane::Exit).await;
    assert_eq!(refusal(outcome), Some(Refusal::Session));
}

#[tokio::test]
async fn entries_beyond_the_budget_are_not_sent() {
    let desk = Desk::open().await;
    let order = below_market(&desk, "BUDGET").await;
    desk.client.set_order_budget(OrderBudget { per_second: 10, per_minute: 4, per_day: 200 });
    let id = accepted(desk.client.submit(&order, Lane::Entry).await);
    accepted(desk.client.submit(&order, Lane::Entry).await);
    let outcome = desk.client.submit(&order, Lane::Entry).await;
    assert!(matches!(outcome, Outcome::Refused { refusal: Refusal::RateLimit, .. }), "{outcome:?}");
    assert_eq!(desk.requests("POST", "/orders").await, 2);
    until(&desk, &id, &OrderStatus::Open).await;
    accepted(desk.client.cancel(&id).await);
}
