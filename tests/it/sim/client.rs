//! A plain client of the simulated Kite, for the tests of this room.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use pivot_trading::sim::server::{self, Sim, SimOptions};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(super) const DEADLINE: Duration = Duration::from_secs(20);
pub(super) const SENSEX: u32 = 265;
pub(super) const NIFTY: u32 = 256_265;

/// A simulator with a session.
pub(super) struct Client {
    pub(super) sim: Sim,
    pub(super) http: reqwest::Client,
    pub(super) token: String,
}

/// A market at twenty past nine that runs fast enough not to be waited for.
pub(super) fn fast() -> SimOptions {
    let date = chrono::NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
    let start =
        pivot_trading::market::time::from_ist(date, pivot_trading::market::time::hms(9, 20, 0));
    SimOptions { start, speed: 30.0, ..SimOptions::local() }
}

impl Client {
    pub(super) async fn start(options: SimOptions) -> Client {
        let sim = server::start(options).await.unwrap();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_gzip()
            .no_proxy()
            .build()
            .unwrap();
        let mut client = Client { sim, http, token: String::new() };
        client.token = client.login().await;
        client
    }

    /// From the login page to an access token.
    pub(super) async fn login(&self) -> String {
        let request_token = self.request_token().await;
        let (status, body) = self.exchange_token(&request_token, "demo_secret").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["data"]["access_token"].as_str().unwrap().to_string()
    }

    pub(super) async fn request_token(&self) -> String {
        let form =
            "api_key=demo_key&user_id=SIM001&password=x&totp=1&redirect_params=state%3Da%2520b";
        let answer = self.post_login(form).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        let location = answer.headers()["location"].to_str().unwrap().to_string();
        assert!(location.starts_with("http://127.0.0.1:8001/callback?"), "{location}");
        assert!(location.contains("status=success"), "{location}");
        assert!(location.ends_with("&state=a%20b"), "{location}");
        let after = location.split("request_token=").nth(1).unwrap();
        after.split('&').next().unwrap().to_string()
    }

    pub(super) async fn post_login(&self, form: &str) -> reqwest::Response {
        self.http
            .post(format!("{}/connect/login", self.sim.kite_url()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_string())
            .send()
            .await
            .unwrap()
    }

    pub(super) async fn exchange_token(&self, token: &str, secret: &str) -> (StatusCode, Value) {
        let digest = Sha256::digest(format!("demo_key{token}{secret}").as_bytes());
        let checksum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let form = format!("api_key=demo_key&request_token={token}&checksum={checksum}");
        self.call(Method::POST, "/session/token", &form).await
    }

    /// A signed call; what it sends goes where the method wants it.
    pub(super) async fn try_call(
        &self,
        method: Method,
        path: &str,
        params: &str,
    ) -> reqwest::Result<reqwest::Response> {
        let url = format!("{}{path}", self.sim.kite_url());
        let in_query = method == Method::GET || method == Method::DELETE;
        let request = if in_query {
            self.http.request(method, format!("{url}?{params}"))
        } else {
            let kind = "application/x-www-form-urlencoded";
            self.http.request(method, url).header("content-type", kind).body(params.to_string())
        };
        request
            .header("authorization", format!("token demo_key:{}", self.token))
            .header("x-kite-version", "3")
            .send()
            .await
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        params: &str,
    ) -> (StatusCode, Value) {
        let answer = self.try_call(method, path, params).await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// The data of a call that must succeed.
    pub(super) async fn data(&self, method: Method, path: &str, params: &str) -> Value {
        let (status, body) = self.call(method, path, params).await;
        assert_eq!(status, StatusCode::OK, "{path} {body}");
        assert_eq!(body["status"], "success", "{path}");
        body["data"].clone()
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        self.data(Method::GET, path, "").await
    }

    /// An answer of the simulator's own routes.
    pub(super) async fn own(&self, path: &str) -> Value {
        let url = format!("{}/_sim/{path}", self.sim.kite_url());
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    pub(super) async fn set_faults(&self, faults: Value) {
        let (status, body) = self.post_own("faults", faults).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    pub(super) async fn post_own(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let url = format!("{}/_sim/{path}", self.sim.kite_url());
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// The nearest call option at the money of the SENSEX: symbol, token, lot.
    pub(super) async fn option(&self) -> Contract {
        let answer = self.try_call(Method::GET, "/instruments/BFO", "").await.unwrap();
        let text = answer.text().await.unwrap();
        let spot = self.data(Method::GET, "/quote/ltp", "i=BSE:SENSEX").await;
        let spot = spot["BSE:SENSEX"]["last_price"].as_f64().unwrap();
        let rows: Vec<Vec<&str>> =
            text.lines().skip(1).map(|row| row.split(',').collect()).collect();
        let calls =
            rows.iter().filter(|row| row[3].trim_matches('"') == "SENSEX" && row[9] == "CE");
        let nearest = calls.clone().map(|row| row[5]).min().unwrap();
        let distance = |row: &[&str]| (row[6].parse::<f64>().unwrap() - spot).abs();
        let row = calls
            .filter(|row| row[5] == nearest)
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            .unwrap();
        Contract {
            symbol: row[2].to_string(),
            token: row[0].parse().unwrap(),
            lot: row[8].parse().unwrap(),
        }
    }

    /// The quote of an instrument of the BFO.
    pub(super) async fn quote(&self, contract: &Contract) -> Value {
        let key = format!("BFO:{}", contract.symbol);
        self.data(Method::GET, "/quote", &format!("i={key}")).await[&key].clone()
    }

    pub(super) async fn order(&self, order_id: &str) -> Value {
        let orders = self.get("/orders").await;
        let found = orders.as_array().unwrap().iter().find(|row| row["order_id"] == order_id);
        found.cloned().unwrap_or(Value::Null)
    }

    /// Waits until an order has this status.
    pub(super) async fn until_status(&self, order_id: &str, status: &str) -> Value {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let row = self.order(order_id).await;
            if row["status"] == status {
                return row;
            }
            assert!(Instant::now() < deadline, "{status} never came: {row}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Places a limit order for one lot.
    pub(super) async fn place_limit(
        &self,
        contract: &Contract,
        side: &str,
        price: f64,
        tag: &str,
    ) -> String {
        let form = limit_form(contract, side, price, tag);
        let data = self.data(Method::POST, "/orders/regular", &form).await;
        data["order_id"].as_str().unwrap().to_string()
    }

    pub(super) async fn ticker(&self) -> Ticker {
        Ticker::connect(&self.ticker_url(&self.token)).await.unwrap()
    }

    pub(super) fn ticker_url(&self, token: &str) -> String {
        format!("{}/?api_key=demo_key&access_token={token}", self.sim.ticker_url())
    }
}

pub(super) fn limit_form(contract: &Contract, side: &str, price: f64, tag: &str) -> String {
    format!(
        "exchange=BFO&tradingsymbol={}&transaction_type={side}&order_type=LIMIT&product=MIS\
         &quantity={}&price={price:.2}&validity=DAY&tag={tag}",
        contract.symbol, contract.lot
    )
}

/// An option.
#[derive(Debug, Clone)]
pub(super) struct Contract {
    pub(super) symbol: String,
    pub(super) token: u32,
    pub(super) lot: i64,
}

/// The best price of a side of a quote.
pub(super) fn best(quote: &Value, side: &str) -> f64 {
    quote["depth"][side][0]["price"].as_f64().unwrap()
}

/// Rounded to a multiple of five paise.
pub(super) fn on_tick(price: f64) -> f64 {
    (price * 20.0).round() / 20.0
}

pub(super) struct Ticker(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What a ticker sent.
#[derive(Debug)]
pub(super) enum Heard {
    Text(Value),
    Frame(Vec<Vec<u8>>),
    Heartbeat,
    End,
}

impl Ticker {
    pub(super) async fn connect(
        url: &str,
    ) -> Result<Ticker, tokio_tungstenite::tungstenite::Error> {
        tokio_tungstenite::connect_async(url).await.map(|(socket, _)| Ticker(socket))
    }

    pub(super) async fn say(&mut self, words: Value) {
        self.say_text(words.to_string()).await;
    }

    pub(super) async fn say_text(&mut self, words: String) {
        self.0.send(Message::text(words)).await.unwrap();
    }

    /// Subscribes and sets the mode.
    pub(super) async fn watch(&mut self, mode: &str, tokens: &[u32]) {
        self.say(json!({ "a": "mode", "v": [mode, tokens] })).await;
    }

    pub(super) async fn hear(&mut self) -> Heard {
        let heard = tokio::time::timeout(DEADLINE, self.0.next()).await.expect("silence");
        match heard {
            Some(Ok(Message::Text(text))) => Heard::Text(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Binary(bytes))) if bytes.len() == 1 => Heard::Heartbeat,
            Some(Ok(Message::Binary(bytes))) => Heard::Frame(packets(&bytes)),
            Some(Ok(_)) | Some(Err(_)) | None => Heard::End,
        }
    }

    /// The next frame with packets.
    pub(super) async fn frame(&mut self) -> Vec<Vec<u8>> {
        loop {
            match self.hear().await {
                Heard::Frame(packets) => return packets,
                Heard::Text(_) | Heard::Heartbeat => {}
                Heard::End => panic!("the ticker ended"),
            }
        }
    }

    /// The next text of this type.
    pub(super) async fn text(&mut self, kind: &str) -> Value {
        loop {
            match self.hear().await {
                Heard::Text(text) if text["type"] == kind => return text["data"].clone(),
                Heard::Text(_) | Heard::Frame(_) | Heard::Heartbeat => {}
                Heard::End => panic!("the ticker ended"),
            }
        }
    }
}

/// Cuts a frame into its packets and checks that it is whole.
pub(super) fn packets(frame: &[u8]) -> Vec<Vec<u8>> {
    let short = |at: usize| usize::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
    let mut at = 2;
    let packets = (0..short(0)).map(|_| {
        let length = short(at);
        let packet = frame[at + 2..at + 2 + length].to_vec();
        at += 2 + length;
        packet
    });
    let packets: Vec<Vec<u8>> = packets.collect();
    assert_eq!(at, frame.len());
    packets
}

pub(super) fn int_at(packet: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes(packet[offset..offset + 4].try_into().unwrap())
}
