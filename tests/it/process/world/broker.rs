//! The broker's side: its books, its log, its faults, its logins.

use std::time::Duration;

use chrono::TimeDelta;
use pivot_trading::clock::Clock;
use pivot_trading::kite::{Client, ClientOptions};
use pivot_trading::store::{BrokerSession, Role, SessionStatus};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{World, date};

impl World {
    pub(in crate::process) fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.kite);
        self.runtime
            .block_on(async { self.http.get(url).send().await.unwrap().json().await.unwrap() })
    }

    pub(super) fn post(&self, url: String, body: &Value) -> Value {
        self.runtime.block_on(async {
            let answer = self.http.post(&url).json(body).send().await.unwrap();
            assert!(answer.status().is_success(), "{url}: {}", answer.text().await.unwrap());
            answer.json().await.unwrap_or(Value::Null)
        })
    }

    pub(in crate::process) fn fault(&self, name: &str, value: impl Into<Value>) {
        let body = Value::Object([(name.to_string(), value.into())].into_iter().collect());
        self.post(format!("{}/_sim/faults", self.kite), &body);
    }

    /// Units of all positions together, as the exchange knows them.
    pub(in crate::process) fn held(&self) -> i64 {
        let books = self.get("/_sim/books");
        let rows = books["positions"].as_array().unwrap();
        rows.iter().map(|row| row["quantity"].as_i64().unwrap()).sum()
    }

    /// Orders that are not at their end.
    pub(in crate::process) fn working(&self) -> Vec<Value> {
        let ended = ["COMPLETE", "CANCELLED", "REJECTED"];
        let books = self.get("/_sim/books");
        let orders = books["orders"].as_array().unwrap().iter();
        orders.filter(|row| !ended.contains(&row["status"].as_str().unwrap())).cloned().collect()
    }

    pub(in crate::process) fn resting_stops(&self) -> usize {
        self.working().iter().filter(|row| row["status"] == "TRIGGER PENDING").count()
    }

    /// Number of the last request so far.
    pub(in crate::process) fn mark(&self) -> u64 {
        self.get("/_sim/log?since=0").as_array().unwrap().last().unwrap()["seq"].as_u64().unwrap()
    }

    /// Requests since a mark that can change orders.
    pub(in crate::process) fn order_calls(&self, since: u64) -> Vec<Value> {
        let log = self.get(&format!("/_sim/log?since={since}"));
        let changes = |entry: &&Value| {
            entry["method"] != "GET" && entry["path"].as_str().unwrap().starts_with("/orders/")
        };
        log.as_array().unwrap().iter().filter(changes).cloned().collect()
    }

    /// Waits for the first request since a mark that can change orders;
    /// answers when it arrived, in microseconds of real time.
    pub(in crate::process) fn first_order_call(&self, since: u64) -> i64 {
        self.wait_for("an order call", |world| {
            world.order_calls(since).first().map(|entry| entry["at_us"].as_i64().unwrap())
        })
    }

    /// Most units held at one time, by the exchange's own trades.
    pub(in crate::process) fn most_held(&self) -> i64 {
        let books = self.get("/_sim/books");
        let mut net = 0;
        let after_each = books["trades"].as_array().unwrap().iter().map(|trade| {
            let quantity = trade["quantity"].as_i64().unwrap();
            net += if trade["transaction_type"] == "BUY" { quantity } else { -quantity };
            net
        });
        after_each.max().unwrap_or(0)
    }

    /// Flat by the exchange's own books: nothing held, nothing working,
    /// nothing ever sold that was not bought, no tag used twice.
    pub(in crate::process) fn assert_flat(&self) {
        let books = self.get("/_sim/books");
        assert_eq!((self.held(), self.working()), (0, Vec::new()), "{}", self.report());
        let mut tags = std::collections::BTreeSet::new();
        for order in books["orders"].as_array().unwrap() {
            // What was traded by hand has none.
            let Some(tag) = order["tag"].as_str().map(str::to_string) else { continue };
            assert!(tags.insert(tag.clone()), "{tag} was used twice");
        }
        let mut net = 0;
        let trades = books["trades"].as_array().unwrap();
        for trade in trades {
            let quantity = trade["quantity"].as_i64().unwrap();
            net += if trade["transaction_type"] == "BUY" { quantity } else { -quantity };
            assert!(net >= 0, "a short in between: {trades:#?}");
        }
    }

    pub(in crate::process) fn log_in(&mut self) {
        let clock = Clock::system();
        let client = Client::new(ClientOptions {
            base_url: self.kite.clone(),
            api_key: "demo_key".into(),
            timeout: Duration::from_secs(7),
            clock,
        })
        .unwrap();
        let page = format!("{}/connect/login?v=3&api_key=demo_key", self.kite);
        let token = self.request_token(&page);
        let info = self.runtime.block_on(async {
            client.exchange_token(&SecretString::from(token), &"demo_secret".into()).await.unwrap()
        });
        let now = self.now();
        self.store(Role::Trading)
            .session_keep(&BrokerSession {
                login_id: None,
                day: date(),
                status: SessionStatus::Valid,
                access_token: Some(info.access_token),
                user_id: info.profile.user_id,
                user_name: info.profile.user_name,
                login_time: now,
                valid_until: now + TimeDelta::hours(18),
                message: None,
            })
            .unwrap();
    }

    /// Fills in the broker's login form; answers the word of the redirect.
    fn request_token(&self, page: &str) -> String {
        let back = self.redirect_of(page);
        let url = reqwest::Url::parse(&back).unwrap();
        let token = url.query_pairs().find(|(name, _)| name == "request_token").unwrap().1;
        token.into_owned()
    }

    fn redirect_of(&self, page: &str) -> String {
        let form = [("user_id", "SIM001"), ("password", "x"), ("totp", "123456")];
        self.runtime.block_on(async {
            let answer = self.http.post(page).form(&form).send().await.unwrap();
            let location = answer.headers().get(reqwest::header::LOCATION).unwrap();
            location.to_str().unwrap().to_string()
        })
    }

    /// Does what a person does with a login link; pivot-auth must run.
    pub(in crate::process) fn follow_login_link(&self, link: &str) {
        let back = self.redirect_of(link);
        self.runtime.block_on(async {
            self.http.get(back).send().await.unwrap().error_for_status().unwrap();
        });
    }

    /// The owner buys shares in the broker's own app, or sells some.
    pub(in crate::process) fn trade_by_hand(&self, symbol: &str, quantity: i64) {
        let side = if quantity > 0 { "BUY" } else { "SELL" };
        let body = json!({
            "exchange": "NSE", "tradingsymbol": symbol, "transaction_type": side,
            "quantity": quantity.abs(), "product": "MIS",
        });
        self.post(format!("{}/_sim/manual_trade", self.kite), &body);
    }

    /// Ends every session at the broker.
    pub(in crate::process) fn log_out(&self) {
        self.post(format!("{}/_sim/logout", self.kite), &Value::Null);
    }
}
