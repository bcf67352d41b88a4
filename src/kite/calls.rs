//! Calls that read, log in and log out.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::client::Client;
use super::decode::{
    self, Decoded, Holding, Margins, OhlcRow, OrderCharge, OrderMargin, OrderRow, PositionRow,
    Positions, Profile, QuoteRow, SessionInfo, Trade,
};
use super::error::KiteError;
use super::limits::Bucket;
use super::transport::{DUMP_MAX, unpack};
use crate::clock::real_now;
use crate::market::master::{Master, parse_instruments};
use crate::market::{BrokerOrder, Exchange, InstrumentKey, OrderId, OrderRequest};

/// Instruments of one quote call: the documented limits are higher, but long
/// addresses are refused.
const QUOTE_BATCH: usize = 250;

impl Client {
    /// Exchanges a request token for an access token and uses it from then
    /// on. Not repeated: the token works once.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn exchange_token(
        &self,
        request_token: &SecretString,
        api_secret: &SecretString,
    ) -> Result<SessionInfo, KiteError> {
        crate::telemetry::hide(request_token);
        let key = self.api_key();
        let form = [
            ("api_key", key.to_string()),
            ("request_token", request_token.expose_secret().to_string()),
            (
                "checksum",
                checksum(&[key, request_token.expose_secret(), api_secret.expose_secret()]),
            ),
        ];
        let request = self.request(Method::POST, "/session/token").form(&form);
        let info = decode::session_info(&self.once(request).await?).map_err(unreadable)?;
        self.set_session(info.access_token.clone());
        Ok(info)
    }

    /// Ends the session at the broker and forgets the access token.
    ///
    /// # Errors
    /// When the broker refuses or does not answer; the token is forgotten in
    /// any case.
    pub async fn logout(&self) -> Result<(), KiteError> {
        let token = self.session().ok_or(KiteError::NoSession)?;
        let query = [("api_key", self.api_key()), ("access_token", token.expose_secret())];
        let request = self.signed(self.request(Method::DELETE, "/session/token").query(&query));
        self.clear_session();
        self.once(request?).await.map(|_| ())
    }

    /// The account. The cheapest way to see whether the session lives.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn profile(&self) -> Result<Profile, KiteError> {
        let data = self.read_data(Bucket::Other, "/user/profile", &[]).await?;
        decode::profile(&data).map_err(unreadable)
    }

    /// Funds.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn margins(&self) -> Result<Margins, KiteError> {
        let data = self.read_data(Bucket::Other, "/user/margins", &[]).await?;
        decode::margins(&data).map_err(unreadable)
    }

    /// The day's order book.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn orders(&self) -> Result<Decoded<BrokerOrder>, KiteError> {
        let data = self.read_data(Bucket::Other, "/orders", &[]).await?;
        decode::rows(&data, decode::order).map_err(unreadable)
    }

    /// All orders of the day with all that the broker says of them.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn orders_in_full(&self) -> Result<Decoded<OrderRow>, KiteError> {
        let data = self.read_data(Bucket::Other, "/orders", &[]).await?;
        decode::rows(&data, decode::order_row).map_err(unreadable)
    }

    /// The states that an order went through, oldest first.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn order_history(&self, id: &OrderId) -> Result<Decoded<OrderRow>, KiteError> {
        let path = format!("/orders/{}", path_part(&id.0)?);
        let data = self.read_data(Bucket::Other, &path, &[]).await?;
        decode::rows(&data, decode::order_row).map_err(unreadable)
    }

    /// The day's fills.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn trades(&self) -> Result<Decoded<Trade>, KiteError> {
        let data = self.read_data(Bucket::Other, "/trades", &[]).await?;
        decode::rows(&data, decode::trade).map_err(unreadable)
    }

    /// Fills of one order.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn order_trades(&self, id: &OrderId) -> Result<Decoded<Trade>, KiteError> {
        let path = format!("/orders/{}/trades", path_part(&id.0)?);
        let data = self.read_data(Bucket::Other, &path, &[]).await?;
        decode::rows(&data, decode::trade).map_err(unreadable)
    }

    /// Positions.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn positions(&self) -> Result<Positions, KiteError> {
        let data = self.read_data(Bucket::Other, "/portfolio/positions", &[]).await?;
        decode::positions(&data, decode::position).map_err(unreadable)
    }

    /// The account's positions with all that the broker says of them.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn positions_in_full(&self) -> Result<Positions<PositionRow>, KiteError> {
        let data = self.read_data(Bucket::Other, "/portfolio/positions", &[]).await?;
        decode::positions(&data, decode::position_row).map_err(unreadable)
    }

    /// Shares in the account.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn holdings(&self) -> Result<Decoded<Holding>, KiteError> {
        let data = self.read_data(Bucket::Other, "/portfolio/holdings", &[]).await?;
        decode::rows(&data, decode::holding).map_err(unreadable)
    }

    /// Full quotes. Instruments that the broker does not know are absent.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn quote(&self, keys: &[InstrumentKey]) -> Result<Decoded<QuoteRow>, KiteError> {
        self.quotes("/quote", keys, |key, value| decode::quote_row(key, value, real_now())).await
    }

    /// Prices of the day. Instruments that the broker does not know are
    /// absent.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn ohlc(
        &self,
        keys: &[InstrumentKey],
    ) -> Result<Decoded<(InstrumentKey, OhlcRow)>, KiteError> {
        let read = |key, value: &Value| Ok((key, decode::ohlc_row(value)?));
        self.quotes("/quote/ohlc", keys, read).await
    }

    /// Last prices, with the other prices at zero. Instruments that the
    /// broker does not know are absent.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn ltp(
        &self,
        keys: &[InstrumentKey],
    ) -> Result<Decoded<(InstrumentKey, OhlcRow)>, KiteError> {
        let read = |key, value: &Value| Ok((key, decode::ohlc_row(value)?));
        self.quotes("/quote/ltp", keys, read).await
    }

    /// The day's instruments of one exchange (or of all) as the broker's CSV,
    /// unpacked.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn instruments_csv(&self, exchange: Option<Exchange>) -> Result<Vec<u8>, KiteError> {
        let path = match exchange {
            Some(exchange) => format!("/instruments/{exchange}"),
            None => "/instruments".to_string(),
        };
        let body = self.read(Bucket::Other, &path, &[], DUMP_MAX).await?;
        unpack(body, DUMP_MAX).map_err(unreadable)
    }

    /// The day's instruments of one exchange (or of all), with the rows that
    /// could not be read.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn instruments(&self, exchange: Option<Exchange>) -> Result<Master, KiteError> {
        Ok(parse_instruments(&self.instruments_csv(exchange).await?))
    }

    /// What the broker would block for these orders, each by itself.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn order_margins(
        &self,
        orders: &[OrderRequest],
    ) -> Result<Decoded<OrderMargin>, KiteError> {
        let body = Value::Array(orders.iter().map(margin_body).collect());
        let request = self.signed(self.request(Method::POST, "/margins/orders").json(&body))?;
        decode::rows(&self.once(request).await?, decode::order_margin).map_err(unreadable)
    }

    /// Charges of these orders, done or imagined, at their prices.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub async fn order_charges(
        &self,
        orders: &[OrderRequest],
    ) -> Result<Decoded<OrderCharge>, KiteError> {
        let body = orders.iter().enumerate().map(|(index, order)| {
            let mut row = margin_body(order);
            row["order_id"] = index.to_string().into();
            row["average_price"] = order.price.to_f64_rupees().into();
            row
        });
        let body = Value::Array(body.collect());
        let request = self.signed(self.request(Method::POST, "/charges/orders").json(&body))?;
        decode::rows(&self.once(request).await?, decode::order_charge).map_err(unreadable)
    }

    async fn quotes<T>(
        &self,
        path: &str,
        keys: &[InstrumentKey],
        read: impl Fn(InstrumentKey, &Value) -> Result<T, String>,
    ) -> Result<Decoded<T>, KiteError> {
        let mut all = Decoded { rows: Vec::with_capacity(keys.len()), bad: Vec::new() };
        for batch in keys.chunks(QUOTE_BATCH) {
            let query: Vec<_> = batch.iter().map(|key| ("i", key.to_string())).collect();
            let data = self.read_data(Bucket::Quote, path, &query).await?;
            let named = |name: &str, value: &Value| {
                let key = InstrumentKey::parse(name).ok_or("not an instrument's name")?;
                read(key, value)
            };
            let part = decode::entries(&data, named).map_err(unreadable)?;
            all.rows.extend(part.rows);
            all.bad.extend(part.bad);
        }
        Ok(all)
    }
}

fn unreadable(reason: String) -> KiteError {
    KiteError::Unreadable { http: 200, reason }
}

/// Lowercase hexadecimal SHA-256 of the parts, one after the other: Kite's
/// checksum of logins and postbacks.
pub(super) fn checksum(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn path_part(id: &str) -> Result<&str, KiteError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !id.is_empty() && id.bytes().all(plain) {
        return Ok(id);
    }
    Err(KiteError::BadRequest { reason: format!("{id:?} cannot be an order id") })
}

fn margin_body(order: &OrderRequest) -> Value {
    json!({
        "exchange": order.instrument.exchange.as_str(),
        "tradingsymbol": order.instrument.symbol,
        "transaction_type": order.side.as_str(),
        "variety": "regular",
        "product": order.product.as_str(),
        "order_type": order.order_type.as_str(),
        "quantity": order.quantity,
        "price": order.price.to_f64_rupees(),
        "trigger_price": order.trigger.unwrap_or_default().to_f64_rupees(),
    })
}
