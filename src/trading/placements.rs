//! Placements by the thousand over real HTTP, with a broker that loses a
//! third of its answers: no order exists twice.
//!
//! `PIVOT_PLACEMENTS` asks for more of them.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::broker::Broker;
use super::executor::Executor;
use super::input::Input;
use crate::clock::Clock;
use crate::engine::Command;
use crate::engine::command::Fetch;
use crate::engine::event::{CommandId, Outcome, Snapshot};
use crate::engine::ledger::IntentId;
use crate::kite::{Client, ClientOptions, OrderBudget};
use crate::market::{
    Exchange, InstrumentKey, OrderId, OrderRequest, OrderType, Price, Product, Side, Tag,
};
use crate::sim::server::{self, Sim, SimOptions};

const PLACEMENTS: u32 = 100;
/// Placements that are under way together, with the faults of one batch:
/// lost answers, 502, and 400 "timed out" although the order is live.
const BATCH: u32 = 10;
const LOST: u32 = 3;
const BROKEN: u32 = 1;
const TIMED_OUT: u32 = 1;
/// Complete order books without a row that count as proof, and their span.
const READS: u32 = 3;
const DEADLINE: Duration = Duration::from_secs(30);

struct Desk {
    sim: Sim,
    http: reqwest::Client,
    client: Client,
    executor: Executor,
    inputs: UnboundedReceiver<Input>,
    seq: u64,
    data: tempfile::TempDir,
}

impl Desk {
    async fn open() -> Desk {
        Desk::open_with(Duration::from_secs(7)).await
    }

    async fn open_with(timeout: Duration) -> Desk {
        let local = SimOptions::local();
        let start = local.start + TimeDelta::minutes(30);
        let options = SimOptions { start, rate_limits: Some(false), ..local };
        let sim = server::start(options).await.unwrap();
        let clock = Clock::system();
        let client = Client::new(ClientOptions {
            base_url: sim.kite_url().to_string(),
            api_key: "demo_key".into(),
            timeout,
            clock: clock.clone(),
        })
        .unwrap();
        let most = u32::MAX / 2;
        client.set_order_budget(OrderBudget { per_second: most, per_minute: most, per_day: most });
        let redirect = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().redirect(redirect).build().unwrap();
        let data = tempfile::tempdir().unwrap();
        let (sender, inputs) = unbounded_channel();
        let broker = Broker::Kite(client.clone());
        let executor = Executor::new(broker, clock, data.path(), sender);
        executor.set_may_enter(true);
        let desk = Desk { sim, http, client, executor, inputs, seq: 0, data };
        desk.log_in().await;
        desk
    }

    async fn log_in(&self) {
        let url = format!("{}/connect/login?v=3&api_key=demo_key", self.sim.kite_url());
        let form =
            [("api_key", "demo_key"), ("user_id", "SIM001"), ("password", "x"), ("totp", "1")];
        let answer = self.http.post(url).form(&form).send().await.unwrap();
        let location = answer.headers()[reqwest::header::LOCATION].to_str().unwrap().to_string();
        let url = reqwest::Url::parse(&location).unwrap();
        let token = url.query_pairs().find(|(name, _)| name == "request_token").unwrap().1;
        let (token, secret) = (token.into_owned().into(), "demo_secret".to_string().into());
        self.client.exchange_token(&token, &secret).await.unwrap();
    }

    /// A price below the market, at which a purchase rests.
    async fn resting_price(&self) -> Price {
        let key = order(0, Price::ZERO).instrument;
        let quote = self.client.quote(std::slice::from_ref(&key)).await.unwrap().rows.remove(0);
        quote.quote.last.scale_floor(95, 100).floor_to(Price::from_rupees(1))
    }

    async fn faults(&self, switches: Value) {
        let url = format!("{}/_sim/faults", self.sim.kite_url());
        let answer = self.http.post(url).json(&switches).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    fn dispatch(&mut self, command: Command) -> CommandId {
        self.seq += 1;
        let id = CommandId { seq: self.seq, index: 0 };
        self.executor.dispatch(id, command);
        id
    }

    async fn input(&mut self) -> Input {
        let input = tokio::time::timeout(DEADLINE, self.inputs.recv()).await;
        input.expect("the executor owes an answer").unwrap()
    }

    /// One read of the order book, as the engine asks for it.
    async fn book(&mut self) -> Snapshot {
        let id =
            self.dispatch(Command::Fetch(Fetch { orders: true, positions: true, margins: false }));
        loop {
            if let Input::Snapshot(snapshot) = self.input().await {
                assert_eq!(snapshot.command, id);
                return snapshot;
            }
        }
    }

    /// Orders at the exchange by tag, and the requests that reached it.
    async fn at_the_exchange(&self) -> (BTreeMap<String, u32>, usize) {
        let get = async |path: &str| -> Value {
            let url = format!("{}{path}", self.sim.kite_url());
            self.http.get(url).send().await.unwrap().json().await.unwrap()
        };
        let books = get("/_sim/books").await;
        let mut by_tag = BTreeMap::new();
        for order in books["orders"].as_array().unwrap() {
            *by_tag.entry(order["tag"].as_str().unwrap().to_string()).or_default() += 1;
        }
        let log = get("/_sim/log").await;
        let posts = log.as_array().unwrap().iter().filter(|entry| {
            entry["method"] == "POST" && entry["path"].as_str().unwrap().starts_with("/orders/")
        });
        (by_tag, posts.count())
    }
}

fn order(number: u32, price: Price) -> OrderRequest {
    OrderRequest {
        instrument: InstrumentKey::new(Exchange::Nse, "RELIANCE"),
        side: Side::Buy,
        order_type: OrderType::Limit,
        product: Product::Mis,
        quantity: 1,
        price,
        trigger: None,
        tag: Tag::new(format!("P1123I{number:05}E1")).unwrap(),
    }
}

#[derive(Debug, Default)]
struct Count {
    accepted: u32,
    unknown_live: u32,
    unknown_absent: u32,
}

#[tokio::test]
async fn m3_no_order_exists_twice_when_a_third_of_the_answers_is_lost() {
    tokio::task::LocalSet::new().run_until(place_them()).await;
}

async fn place_them() {
    let asked = std::env::var("PIVOT_PLACEMENTS").ok().and_then(|text| text.parse().ok());
    let placements: u32 = asked.unwrap_or(PLACEMENTS);
    let mut desk = Desk::open().await;
    let price = desk.resting_price().await;
    let mut count = Count::default();
    for batch in 0..placements.div_ceil(BATCH) {
        desk.faults(json!({
            "response_lost_after_place": LOST,
            "place_times_out_but_exists": TIMED_OUT,
            "http_next": format!("502:{BROKEN}:/orders/regular"),
        }))
        .await;
        let mut tags: BTreeMap<CommandId, Tag> = BTreeMap::new();
        for place in 0..BATCH {
            let order = order(batch * BATCH + place, price);
            let tag = order.tag.clone();
            let intent = IntentId(batch * BATCH + place);
            tags.insert(desk.dispatch(Command::Submit { intent, reduces: false, order }), tag);
        }
        let mut unknown = Vec::new();
        while !tags.is_empty() {
            let Input::Outcome { command, outcome } = desk.input().await else { continue };
            let tag = tags.remove(&command).expect("one outcome for each command");
            match outcome {
                Outcome::Accepted { .. } => count.accepted += 1,
                Outcome::Unknown { .. } => unknown.push(tag),
                Outcome::Refused { refusal, message } => panic!("{tag}: {refusal:?} {message}"),
            }
        }
        // What nobody knows is looked for by its tag, and never sent again.
        for read in 1..=READS {
            let snapshot = desk.book().await;
            assert!(snapshot.complete);
            let rows = snapshot.orders.unwrap();
            unknown.retain(|tag| {
                let found = rows.iter().filter(|row| row.tag.as_ref() == Some(tag)).count();
                assert!(found <= 1, "{tag} is there {found} times");
                count.unknown_live += u32::from(found == 1);
                count.unknown_absent += u32::from(found == 0 && read == READS);
                found == 0
            });
        }
    }
    let (by_tag, posts) = desk.at_the_exchange().await;
    let batches = placements.div_ceil(BATCH);
    let live = u32::try_from(by_tag.len()).unwrap();
    let doubled = by_tag.values().filter(|count| **count > 1).count();
    println!(
        "{} placements, {posts} requests: {} accepted, {} unknown and live, {} unknown and absent; \
         {live} orders at the exchange, {doubled} of them doubled",
        batches * BATCH,
        count.accepted,
        count.unknown_live,
        count.unknown_absent,
    );
    assert_eq!(doubled, 0);
    assert_eq!(posts, usize::try_from(batches * BATCH).unwrap(), "one request for each order");
    assert_eq!(count.accepted + count.unknown_live, live);
    assert_eq!(count.unknown_live, batches * (LOST + TIMED_OUT));
    assert_eq!(count.unknown_absent, batches * BROKEN);
}

#[tokio::test]
async fn m7_a_failed_read_is_no_empty_answer_and_margins_spoil_nothing() {
    let check = async {
        let mut desk = Desk::open().await;
        // Reads are asked for twice.
        desk.faults(json!({ "http_next": "503:2:/user/margins" })).await;
        let fetch = Fetch { orders: true, positions: true, margins: true };
        desk.dispatch(Command::Fetch(fetch));
        let Input::Snapshot(snapshot) = desk.input().await else { panic!("no snapshot") };
        assert!(snapshot.complete && snapshot.available.is_none());
        assert_eq!(snapshot.orders, Some(Vec::new()));
        for path in ["/orders", "/portfolio/positions"] {
            desk.faults(json!({ "http_next": format!("502:2:{path}") })).await;
            let snapshot = desk.book().await;
            assert!(!snapshot.complete, "{path}");
            assert_eq!(snapshot.orders.is_none(), path == "/orders");
            assert_eq!(snapshot.positions.is_none(), path != "/orders");
        }
    };
    tokio::task::LocalSet::new().run_until(check).await;
}

#[tokio::test]
async fn a_session_that_died_is_told_by_whatever_call_meets_it() {
    let check = async {
        let mut desk = Desk::open().await;
        desk.faults(json!({ "token_expired": true })).await;
        let fetch = Fetch { orders: true, positions: false, margins: false };
        let commands = [
            Command::Fetch(fetch),
            Command::Cancel { intent: None, order_id: OrderId("1".into()) },
        ];
        for command in commands {
            desk.dispatch(command);
            let told = desk.input().await;
            assert!(matches!(told, Input::Session { alive: false }), "{told:?}");
            desk.input().await;
        }
        // An answer that concerns a session which is gone by then is no news.
        desk.faults(json!({ "answer_delay_ms": 300 })).await;
        desk.dispatch(Command::Fetch(fetch));
        tokio::time::sleep(Duration::from_millis(50)).await;
        desk.client.set_session("another".to_string().into());
        let told = desk.input().await;
        assert!(matches!(told, Input::Snapshot(_)), "{told:?}");
    };
    tokio::task::LocalSet::new().run_until(check).await;
}

#[tokio::test]
async fn m15_nothing_opens_without_permission_or_beside_the_halt_file() {
    let check = async {
        let mut desk = Desk::open().await;
        let submit = |number: u32, reduces: bool| {
            let order = order(number, Price::from_rupees(1_000));
            Command::Submit { intent: IntentId(number), reduces, order }
        };
        desk.executor.set_may_enter(false);
        desk.dispatch(submit(1, false));
        let refused = format!("{:?}", desk.input().await);
        assert!(refused.contains("Gate"), "{refused}");
        desk.executor.set_may_enter(true);
        std::fs::write(desk.data.path().join(super::HALT_FILE), "").unwrap();
        desk.dispatch(submit(2, false));
        let refused = format!("{:?}", desk.input().await);
        assert!(refused.contains("Gate") && refused.contains("HALT"), "{refused}");
        desk.dispatch(submit(3, true));
        let sent = format!("{:?}", desk.input().await);
        assert!(!sent.contains("Gate"), "what reduces goes out: {sent}");
    };
    tokio::task::LocalSet::new().run_until(check).await;
}

#[tokio::test]
async fn an_answer_that_is_too_slow_is_unknown_and_its_order_is_found() {
    let check = async {
        let mut desk = Desk::open_with(Duration::from_millis(400)).await;
        let price = desk.resting_price().await;
        desk.faults(json!({ "answer_delay_ms": 1_500 })).await;
        let order = order(1, price);
        let tag = order.tag.clone();
        desk.dispatch(Command::Submit { intent: IntentId(1), reduces: true, order });
        let told = desk.input().await;
        let Input::Outcome { outcome: Outcome::Unknown { message }, .. } = told else {
            panic!("{told:?}")
        };
        assert!(message.contains("no answer"), "{message}");
        desk.faults(json!({ "answer_delay_ms": 0 })).await;
        let rows = desk.book().await.orders.unwrap();
        assert_eq!(rows.iter().filter(|row| row.tag.as_ref() == Some(&tag)).count(), 1);
    };
    tokio::task::LocalSet::new().run_until(check).await;
}
