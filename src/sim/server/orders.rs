//! Orders, trades, and the calculators of margins and charges.

use serde::Deserialize;
use serde_json::{Value, json};

use super::envelope::{ApiResult, missing};
use super::json as write;
use super::params::Params;
use super::reply::Reply;
use super::world::World;
use crate::market::{Exchange as Venue, InstrumentKey, OrderType, Price, Product, Quantity, Side};
use crate::sim::exchange::{
    ApiError, Modification, NewOrder, OrderCharges, OrderMargin, OrderQuery, PlaceOk, Protection,
    Validity, Variety,
};
use crate::sim::faults::AutosliceShape;

/// Longest tag that Kite takes.
const TAG_LENGTH_MAX: usize = 20;

/// Orders in one margin or charges call.
const QUERIES_MAX: usize = 500;

/// Most units and dearest price of an order in such a call. Generous, and
/// small enough that the sums over all its orders stay within 64 bits.
const QUERY_QUANTITY_MAX: i64 = 10_000_000;
const QUERY_PRICE_MAX: Price = Price::from_rupees(1_000_000);

/// `POST /orders/{variety}`.
pub(super) fn place(world: &mut World, variety: &str, params: &Params) -> Reply {
    let now = world.now();
    let placed = new_order(variety, params).and_then(|order| world.exchange.place(now, order));
    match placed {
        Ok(placed) => {
            let shape = world.exchange.faults().autoslice_shape;
            let lost = placed.response_lost;
            let order_id = placed.order_id.clone();
            Reply::placed(Ok(placed_data(placed, shape)), order_id, lost)
        }
        Err(error) => Err(error).into(),
    }
}

fn placed_data(placed: PlaceOk, shape: AutosliceShape) -> Value {
    let Some(slices) = placed.slices else {
        return json!({ "order_id": placed.order_id });
    };
    let slice = |slice: Result<String, ApiError>| match slice {
        Ok(order_id) => json!({ "order_id": order_id }),
        Err(error) => json!({
            "error": {
                "code": error.http,
                "error_type": error.error_type,
                "message": error.message,
                "data": null,
            },
        }),
    };
    let children: Vec<Value> = slices.into_iter().map(slice).collect();
    match shape {
        AutosliceShape::Children => json!({ "order_id": placed.order_id, "children": children }),
        AutosliceShape::Flat => Value::Array(children),
    }
}

fn variety_of(text: &str) -> Result<Variety, ApiError> {
    Variety::parse(text).ok_or_else(|| match text {
        "co" | "iceberg" | "auction" => {
            ApiError::input(format!("Orders of variety `{text}` are not simulated."))
        }
        _ => ApiError::input("Invalid `variety`."),
    })
}

fn word<T>(params: &Params, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, ApiError> {
    let text = params.require(name)?;
    parse(text).ok_or_else(|| ApiError::input(format!("Invalid `{name}`.")))
}

fn word_if_given<T>(
    params: &Params,
    name: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    params.get(name).map(|_| word(params, name, parse)).transpose()
}

pub(super) fn known_product(text: &str) -> Option<Product> {
    match Product::parse(text) {
        Product::Other(_) => None,
        product @ (Product::Mis | Product::Nrml | Product::Cnc | Product::Mtf) => Some(product),
    }
}

fn protection(params: &Params) -> Result<Option<Protection>, ApiError> {
    let percent = params.decimal("market_protection")?;
    Ok(percent.map(|percent| Protection((percent * 100.0).round() as i64)))
}

fn new_order(variety: &str, params: &Params) -> Result<NewOrder, ApiError> {
    let variety = variety_of(variety)?;
    let exchange = word(params, "exchange", Venue::parse)?;
    let symbol = params.require("tradingsymbol")?;
    let tag = params.get("tag").map(str::to_string);
    let fits = |tag: &String| {
        tag.len() <= TAG_LENGTH_MAX && tag.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    if tag.as_ref().is_some_and(|tag| !fits(tag)) {
        return Err(ApiError::input("Invalid `tag`. Expected at most 20 letters and digits."));
    }
    Ok(NewOrder {
        variety,
        instrument: InstrumentKey::new(exchange, symbol),
        side: word(params, "transaction_type", Side::parse)?,
        order_type: word(params, "order_type", OrderType::parse)?,
        quantity: params.quantity("quantity")?.ok_or_else(|| missing("quantity"))?,
        product: word(params, "product", known_product)?,
        price: params.price("price")?.unwrap_or(Price::ZERO),
        trigger_price: params.price("trigger_price")?.unwrap_or(Price::ZERO),
        disclosed_quantity: params.quantity("disclosed_quantity")?.unwrap_or(0),
        validity: word_if_given(params, "validity", Validity::parse)?.unwrap_or(Validity::Day),
        validity_ttl: params.quantity("validity_ttl")?.unwrap_or(0),
        market_protection: protection(params)?.unwrap_or(Protection::NONE),
        autoslice: params.flag("autoslice"),
        tag,
    })
}

/// `PUT /orders/{variety}/{order_id}`.
pub(super) fn modify(
    world: &mut World,
    variety: &str,
    order_id: &str,
    params: &Params,
) -> ApiResult {
    variety_of(variety)?;
    let change = Modification {
        order_type: word_if_given(params, "order_type", OrderType::parse)?,
        quantity: params.quantity("quantity")?,
        price: params.price("price")?,
        trigger_price: params.price("trigger_price")?,
        disclosed_quantity: params.quantity("disclosed_quantity")?,
        validity: word_if_given(params, "validity", Validity::parse)?,
        market_protection: protection(params)?,
    };
    let now = world.now();
    world.exchange.modify(now, order_id, &change)?;
    Ok(json!({ "order_id": order_id }))
}

/// `DELETE /orders/{variety}/{order_id}`.
pub(super) fn cancel(world: &mut World, variety: &str, order_id: &str) -> ApiResult {
    variety_of(variety)?;
    let now = world.now();
    world.exchange.cancel(now, order_id)?;
    Ok(json!({ "order_id": order_id }))
}

/// `GET /orders`.
pub(super) fn book(world: &World) -> Value {
    Value::Array(world.exchange.orders().iter().map(write::order).collect())
}

fn unknown_order() -> ApiError {
    ApiError::order("Couldn't find that `order_id`.")
}

/// `GET /orders/{order_id}`.
pub(super) fn history(world: &World, order_id: &str) -> ApiResult {
    let rows = world.exchange.order_history(order_id).ok_or_else(unknown_order)?;
    let old_style = world.exchange.faults().history_old_style;
    let row = if old_style { write::order_old_style } else { write::order };
    Ok(Value::Array(rows.iter().map(row).collect()))
}

/// `GET /trades`.
pub(super) fn trades(world: &World) -> Value {
    Value::Array(world.exchange.trades().iter().map(write::trade).collect())
}

/// `GET /orders/{order_id}/trades`.
pub(super) fn trades_of(world: &World, order_id: &str) -> ApiResult {
    let rows = world.exchange.order_trades(order_id).ok_or_else(unknown_order)?;
    Ok(Value::Array(rows.iter().map(write::trade).collect()))
}

/// An order in the body of a calculator call.
#[derive(Debug, Deserialize)]
struct QueryBody {
    exchange: String,
    tradingsymbol: String,
    transaction_type: String,
    variety: Option<String>,
    product: String,
    order_type: String,
    quantity: f64,
    price: Option<f64>,
    average_price: Option<f64>,
}

impl QueryBody {
    fn read(&self) -> Result<OrderQuery, ApiError> {
        let invalid = |name: &str| ApiError::input(format!("Invalid `{name}`."));
        let exchange = Venue::parse(&self.exchange).ok_or_else(|| invalid("exchange"))?;
        let variety = self.variety.as_deref().unwrap_or("regular");
        let average = price("average_price", self.average_price)?;
        let limit = price("price", self.price)?;
        Ok(OrderQuery {
            instrument: InstrumentKey::new(exchange, self.tradingsymbol.as_str()),
            side: Side::parse(&self.transaction_type).ok_or_else(|| invalid("transaction_type"))?,
            variety: variety_of(variety)?,
            product: known_product(&self.product).ok_or_else(|| invalid("product"))?,
            order_type: OrderType::parse(&self.order_type).ok_or_else(|| invalid("order_type"))?,
            quantity: whole(self.quantity).ok_or_else(|| invalid("quantity"))?,
            price: if average > Price::ZERO { average } else { limit },
        })
    }
}

/// Units of a calculator's order, which clients also write as `20.0`.
fn whole(units: f64) -> Option<Quantity> {
    let fits = units.fract() == 0.0 && (1.0..=QUERY_QUANTITY_MAX as f64).contains(&units);
    fits.then_some(units as Quantity)
}

/// A price of a calculator's order; zero when it is left out.
fn price(name: &str, rupees: Option<f64>) -> Result<Price, ApiError> {
    Price::from_f64_rupees(rupees.unwrap_or(0.0))
        .filter(|price| (Price::ZERO..=QUERY_PRICE_MAX).contains(price))
        .ok_or_else(|| ApiError::input(format!("Invalid `{name}`.")))
}

fn queries(body: &[u8]) -> Result<Vec<OrderQuery>, ApiError> {
    let orders: Vec<QueryBody> = serde_json::from_slice(body)
        .map_err(|error| ApiError::input(format!("Invalid JSON in request: {error}")))?;
    if orders.len() > QUERIES_MAX {
        return Err(ApiError::input(format!("At most {QUERIES_MAX} orders in one request.")));
    }
    orders.iter().map(QueryBody::read).collect()
}

/// `POST /margins/orders`.
pub(super) fn margins(world: &World, body: &[u8]) -> ApiResult {
    let rows = world.exchange.order_margins(&queries(body)?)?;
    Ok(Value::Array(rows.iter().map(write::order_margin).collect()))
}

/// `POST /margins/basket`: hedges give no benefit here, so the initial and
/// the final margin are the same sum.
pub(super) fn basket(world: &World, body: &[u8]) -> ApiResult {
    let rows = world.exchange.order_margins(&queries(body)?)?;
    let orders: Vec<Value> = rows.iter().map(write::order_margin).collect();
    let sum = write::margin_sum(&rows);
    let charges = write::charges(&sum_of_charges(&rows));
    Ok(json!({ "initial": sum, "final": sum, "orders": orders, "charges": charges }))
}

fn sum_of_charges(rows: &[OrderMargin]) -> OrderCharges {
    rows.iter().fold(OrderCharges::default(), |sum, row| OrderCharges {
        transaction_tax: sum.transaction_tax + row.charges.transaction_tax,
        exchange_turnover_charge: sum.exchange_turnover_charge
            + row.charges.exchange_turnover_charge,
        sebi_turnover_charge: sum.sebi_turnover_charge + row.charges.sebi_turnover_charge,
        brokerage: sum.brokerage + row.charges.brokerage,
        stamp_duty: sum.stamp_duty + row.charges.stamp_duty,
        gst: sum.gst + row.charges.gst,
        total: sum.total + row.charges.total,
    })
}

/// `POST /charges/orders`.
pub(super) fn charges(world: &World, body: &[u8]) -> ApiResult {
    let queries = queries(body)?;
    let charges = world.exchange.charges(&queries)?;
    let rows = queries.iter().zip(&charges).map(|(query, charges)| {
        json!({
            "transaction_type": query.side.as_str(),
            "tradingsymbol": query.instrument.symbol,
            "exchange": query.instrument.exchange.as_str(),
            "variety": query.variety.as_str(),
            "product": query.product.as_str(),
            "order_type": query.order_type.as_str(),
            "quantity": query.quantity,
            "price": write::rupees(query.price.paise()),
            "charges": write::charges(charges),
        })
    });
    Ok(Value::Array(rows.collect()))
}
