//! The broker's client: against the simulated Kite, against a server that
//! plays back prepared answers, and through `pivotctl`.

mod command;
mod feed;
mod mocks;
mod orders;
mod reads;

use std::time::Duration;

use pivot_trading::clock::Clock;
use pivot_trading::kite::{Client, ClientOptions};
use pivot_trading::sim::server::{self, Sim, SimOptions};
use reqwest::header::LOCATION;
use secrecy::SecretString;
use serde_json::Value;

const API_KEY: &str = "demo_key";

/// A simulated Kite in mid-session, with a client that is logged in.
struct Desk {
    sim: Sim,
    client: Client,
    http: reqwest::Client,
}

impl Desk {
    async fn open() -> Desk {
        let local = SimOptions::local();
        let start = local.start + chrono::TimeDelta::minutes(30);
        Desk::open_with(SimOptions { start, rate_limits: Some(false), ..local }).await
    }

    async fn open_with(options: SimOptions) -> Desk {
        let sim = server::start(options).await.unwrap();
        let client = client(sim.kite_url());
        let redirect = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().redirect(redirect).build().unwrap();
        let desk = Desk { sim, client, http };
        desk.log_in().await;
        desk
    }

    /// Goes through the login page, as a person would.
    async fn log_in(&self) -> SecretString {
        let secret = SecretString::from("demo_secret");
        let info = self.client.exchange_token(&self.request_token().await, &secret).await.unwrap();
        info.access_token
    }

    async fn request_token(&self) -> SecretString {
        let form =
            [("api_key", API_KEY), ("user_id", "SIM001"), ("password", "x"), ("totp", "123456")];
        let url = format!("{}/connect/login?v=3&api_key={API_KEY}", self.sim.kite_url());
        let answer = self.http.post(url).form(&form).send().await.unwrap();
        let location = answer.headers()[LOCATION].to_str().unwrap().to_string();
        let url = reqwest::Url::parse(&location).unwrap();
        let token = url.query_pairs().find(|(name, _)| name == "request_token").unwrap().1;
        SecretString::from(token.into_owned())
    }

    /// Throws a switch of the simulator.
    async fn fault(&self, name: &str, value: impl Into<Value>) {
        let url = format!("{}/_sim/faults", self.sim.kite_url());
        let body = Value::Object([(name.to_string(), value.into())].into_iter().collect());
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{name}: {}", answer.text().await.unwrap());
    }

    /// Requests that reached the simulator with this method and path prefix.
    async fn requests(&self, method: &str, prefix: &str) -> usize {
        let url = format!("{}/_sim/log", self.sim.kite_url());
        let log: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        let is_one = |entry: &&Value| {
            entry["method"] == method && entry["path"].as_str().unwrap().starts_with(prefix)
        };
        log.as_array().unwrap().iter().filter(is_one).count()
    }
}

fn client(base_url: &str) -> Client {
    Client::new(ClientOptions {
        base_url: base_url.to_string(),
        api_key: API_KEY.to_string(),
        timeout: Duration::from_secs(7),
        clock: Clock::system(),
    })
    .unwrap()
}
