//! Calls that change orders. Each is sent once, whatever happens.

use reqwest::Method;

use super::client::Client;
use super::limits::Lane;
use super::outcome::OrderCall;
use crate::engine::event::{Outcome, Refusal};
use crate::market::{OrderChange, OrderId, OrderRequest, OrderType};

impl Client {
    /// Places an order: variety regular, validity DAY. `lane` says whether
    /// it can only reduce what is held. Exactly one outcome; never repeated.
    pub async fn submit(&self, order: &OrderRequest, lane: Lane) -> Outcome {
        let form = match submit_form(order) {
            Ok(form) => form,
            Err(message) => return gate(message),
        };
        let request = self.request(Method::POST, "/orders/regular").form(&form);
        self.order_call(OrderCall::Place, lane, request).await
    }

    /// Changes a resting order; sends only what changes. Exactly one
    /// outcome; never repeated.
    pub async fn modify(&self, order_id: &OrderId, change: &OrderChange) -> Outcome {
        let form = change_form(change);
        if form.is_empty() {
            return gate("nothing to change".into());
        }
        let path = match order_path(order_id) {
            Ok(path) => path,
            Err(message) => return gate(message),
        };
        let request = self.request(Method::PUT, &path).form(&form);
        self.order_call(OrderCall::Change, Lane::Exit, request).await
    }

    /// Cancels a resting order. Exactly one outcome; never repeated.
    pub async fn cancel(&self, order_id: &OrderId) -> Outcome {
        let path = match order_path(order_id) {
            Ok(path) => path,
            Err(message) => return gate(message),
        };
        let request = self.request(Method::DELETE, &path);
        self.order_call(OrderCall::Change, Lane::Exit, request).await
    }
}

fn gate(message: String) -> Outcome {
    Outcome::Refused { refusal: Refusal::Gate, message }
}

fn order_path(order_id: &OrderId) -> Result<String, String> {
    let id = order_id.0.as_str();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if id.is_empty() || !id.bytes().all(plain) {
        return Err(format!("{id:?} cannot be an order id"));
    }
    Ok(format!("/orders/regular/{id}"))
}

fn submit_form(order: &OrderRequest) -> Result<Vec<(&'static str, String)>, String> {
    if order.quantity <= 0 {
        return Err(format!("a quantity of {} cannot be ordered", order.quantity));
    }
    let mut form = vec![
        ("exchange", order.instrument.exchange.as_str().to_string()),
        ("tradingsymbol", order.instrument.symbol.clone()),
        ("transaction_type", order.side.as_str().to_string()),
        ("order_type", order.order_type.as_str().to_string()),
        ("quantity", order.quantity.to_string()),
        ("product", order.product.as_str().to_string()),
        ("validity", "DAY".to_string()),
        ("tag", order.tag.as_str().to_string()),
    ];
    match order.order_type {
        OrderType::Limit | OrderType::StopLimit => form.push(("price", order.price.to_string())),
        // Without protection the broker refuses; -1 is its own band.
        OrderType::Market | OrderType::StopMarket => {
            form.push(("market_protection", "-1".to_string()));
        }
    }
    match (order.order_type, order.trigger) {
        (OrderType::StopLimit | OrderType::StopMarket, Some(trigger)) => {
            form.push(("trigger_price", trigger.to_string()));
        }
        (OrderType::StopLimit | OrderType::StopMarket, None) => {
            return Err("a stop order needs a trigger".into());
        }
        (OrderType::Limit | OrderType::Market, _) => {}
    }
    Ok(form)
}

fn change_form(change: &OrderChange) -> Vec<(&'static str, String)> {
    let mut form = Vec::new();
    if let Some(order_type) = change.order_type {
        form.push(("order_type", order_type.as_str().to_string()));
        if matches!(order_type, OrderType::Market | OrderType::StopMarket) {
            form.push(("market_protection", "-1".to_string()));
        }
    }
    if let Some(quantity) = change.quantity {
        form.push(("quantity", quantity.to_string()));
    }
    if let Some(price) = change.price {
        form.push(("price", price.to_string()));
    }
    if let Some(trigger) = change.trigger {
        form.push(("trigger_price", trigger.to_string()));
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Exchange, InstrumentKey, Price, Product, Side, Tag};

    fn order() -> OrderRequest {
        OrderRequest {
            instrument: InstrumentKey::new(Exchange::Bfo, "SENSEX26NOV85000CE"),
            side: Side::Sell,
            order_type: OrderType::StopLimit,
            product: Product::Mis,
            quantity: 20,
            price: Price::from_paise(25_000),
            trigger: Some(Price::from_paise(26_005)),
            tag: Tag::new("P1123T001S1").unwrap(),
        }
    }

    fn text(form: &[(&str, String)]) -> String {
        form.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
    }

    #[test]
    fn forms_carry_what_the_order_type_needs() {
        let stop = order();
        assert_eq!(
            text(&submit_form(&stop).unwrap()),
            "exchange=BFO&tradingsymbol=SENSEX26NOV85000CE&transaction_type=SELL&order_type=SL\
             &quantity=20&product=MIS&validity=DAY&tag=P1123T001S1&price=250.00&trigger_price=260.05"
        );
        let limit = OrderRequest { order_type: OrderType::Limit, ..order() };
        assert!(!text(&submit_form(&limit).unwrap()).contains("trigger_price"));
        let market = OrderRequest { order_type: OrderType::Market, ..order() };
        let form = text(&submit_form(&market).unwrap());
        assert!(form.contains("market_protection=-1") && !form.contains("price="));
        assert!(submit_form(&OrderRequest { trigger: None, ..order() }).is_err());
        assert!(submit_form(&OrderRequest { quantity: 0, ..order() }).is_err());
    }

    #[test]
    fn changes_carry_only_what_changes() {
        let change = OrderChange {
            order_type: Some(OrderType::Limit),
            price: Some(Price::from_paise(24_990)),
            ..OrderChange::default()
        };
        assert_eq!(text(&change_form(&change)), "order_type=LIMIT&price=249.90");
        assert!(change_form(&OrderChange::default()).is_empty());
    }

    #[test]
    fn order_ids_cannot_leave_their_path() {
        assert!(order_path(&OrderId("1953341975595868160".into())).is_ok());
        for wrong in ["", "../x", "1?a=b", "1/2", "1 2"] {
            assert!(order_path(&OrderId(wrong.into())).is_err(), "{wrong:?}");
        }
    }
}
