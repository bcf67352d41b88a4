//! Values that nobody should send, at every door over real HTTP: each is
//! answered, and never as if it were the simulator's fault.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Client, Contract, Heard, SENSEX, best, fast, on_tick};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Texts where a number, a word or a date is expected.
fn texts() -> Vec<String> {
    let long = "9".repeat(400);
    let very_long = "x".repeat(5_000);
    [
        "",
        "0",
        "-0",
        "-1",
        "0.5",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "4294967295",
        "9000000000000000000",
        "89999999999999.99",
        "1e300",
        "-1e300",
        "NaN",
        "inf",
        "null",
        "[]",
        "%",
        "é🚀\u{202e}\u{0}",
        "+262142-12-31 23:59:59",
        "-262143-01-01",
        &long,
        &very_long,
    ]
    .map(str::to_string)
    .to_vec()
}

/// The same as JSON: bare where that is JSON, quoted in any case.
fn json_texts() -> Vec<String> {
    let quoted = texts().into_iter().map(|text| Value::from(text).to_string());
    texts().into_iter().chain(quoted).collect()
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Every way to spoil one of the fields.
fn spoiled_forms(fields: &[(&str, &str)]) -> Vec<String> {
    let form = |spoiled: usize, with: &str| {
        let pairs = fields.iter().enumerate().map(|(index, (name, value))| {
            format!("{name}={}", encode(if index == spoiled { with } else { value }))
        });
        pairs.collect::<Vec<_>>().join("&")
    };
    let spoil = |index: usize| texts().into_iter().map(move |text| form(index, &text));
    (0..fields.len()).flat_map(spoil).collect()
}

fn spoiled_objects(fields: &[(&str, Value)]) -> Vec<String> {
    let object = |spoiled: usize, with: &str| {
        let pairs = fields.iter().enumerate().map(|(index, (name, value))| {
            let value = if index == spoiled { with.to_string() } else { value.to_string() };
            format!("\"{name}\":{value}")
        });
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
    };
    let spoil = |index: usize| json_texts().into_iter().map(move |text| object(index, &text));
    (0..fields.len()).flat_map(spoil).collect()
}

/// A simulator, and what is asked of it.
struct Door {
    client: Client,
    contract: Contract,
}

impl Door {
    async fn open() -> Door {
        let client = Client::start(fast()).await;
        let contract = client.option().await;
        Door { client, contract }
    }

    /// Sends and expects an answer that blames the sender, if anybody.
    async fn knock(&self, method: Method, url: &str, kind: &str, body: String) -> StatusCode {
        let key = format!("token demo_key:{}", self.client.token);
        let request = self.client.http.request(method.clone(), url).header("authorization", key);
        let request = match body.is_empty() {
            true => request,
            false => request.header("content-type", kind).body(body.clone()),
        };
        let what = || format!("{method} {url:.200} {body:.400}");
        let answer = request.send().await.unwrap_or_else(|error| panic!("{} {error}", what()));
        assert!(answer.status().as_u16() < 500, "{} {}", what(), answer.status());
        answer.status()
    }

    async fn kite(&self, method: Method, path: &str, body: String, kind: &str) -> StatusCode {
        let url = format!("{}{path}", self.client.sim.kite_url());
        self.knock(method, &url, kind, body).await
    }

    /// Each of the forms, in the query or in the body.
    async fn forms(&self, method: Method, path: &str, fields: &[(&str, &str)]) {
        let in_query = method == Method::GET || method == Method::DELETE;
        for form in spoiled_forms(fields) {
            if in_query {
                self.kite(method.clone(), &format!("{path}?{form}"), String::new(), FORM).await;
            } else {
                self.kite(method.clone(), path, form, FORM).await;
            }
        }
        self.still_there().await;
    }

    async fn telegram(&self, path: &str, query: &str, body: String, kind: &str) -> StatusCode {
        let url = format!("{}{path}?{query}", self.client.sim.telegram_url());
        let method = if body.is_empty() { Method::GET } else { Method::POST };
        self.knock(method, &url, kind, body).await
    }

    async fn still_there(&self) {
        let books = self.client.own("books").await;
        assert!(books["orders"].is_array(), "{books}");
    }

    /// A bid that does not fill.
    async fn low_bid(&self) -> f64 {
        on_tick(best(&self.client.quote(&self.contract).await, "buy") * 0.9)
    }
}

#[tokio::test]
async fn login_and_session_survive_anything() {
    let door = Door::open().await;
    let login =
        [("api_key", "demo_key"), ("redirect_params", "state=1"), ("v", "3"), ("cancel", "")];
    door.forms(Method::GET, "/connect/login", &login).await;
    let person = [("user_id", "SIM001"), ("password", "x"), ("totp", "1")];
    let submitted: Vec<(&str, &str)> = login.into_iter().chain(person).collect();
    door.forms(Method::POST, "/connect/login", &submitted).await;
    let exchange = [("api_key", "demo_key"), ("request_token", "x"), ("checksum", "x")];
    door.forms(Method::POST, "/session/token", &exchange).await;
    let goodbye = [("api_key", "demo_key"), ("access_token", "x")];
    door.forms(Method::DELETE, "/session/token", &goodbye).await;
}

#[tokio::test]
async fn reads_survive_anything() {
    let door = Door::open().await;
    for text in texts() {
        let word = encode(&text);
        for path in [
            format!("/user/margins/{word}"),
            format!("/orders/{word}"),
            format!("/orders/{word}/trades"),
            format!("/instruments/{word}"),
            format!("/quote/{word}"),
            format!("/{word}"),
            format!("/_sim/{word}"),
            format!("/instruments/historical/{word}/minute?from=2026-11-23&to=2026-11-23"),
            format!("/instruments/historical/265/{word}?from=2026-11-23&to=2026-11-23"),
        ] {
            door.kite(Method::GET, &path, String::new(), FORM).await;
        }
    }
    for path in ["/quote", "/quote/ohlc", "/quote/ltp"] {
        door.forms(Method::GET, path, &[("i", "BSE:SENSEX"), ("i", "NSE:INFY")]).await;
    }
    let span = [("from", "2026-11-20"), ("to", "2026-11-23"), ("oi", "1"), ("continuous", "0")];
    for interval in ["minute", "day"] {
        door.forms(Method::GET, &format!("/instruments/historical/265/{interval}"), &span).await;
    }
    let everything = "from=1900-01-01&to=2199-12-31 23:59:59";
    let path = format!("/instruments/historical/265/day?{everything}");
    assert_eq!(door.kite(Method::GET, &path, String::new(), FORM).await, 400);
    door.forms(Method::GET, "/_sim/log", &[("since", "1")]).await;
    let conversion = [
        ("exchange", "BFO"),
        ("tradingsymbol", "X"),
        ("old_product", "MIS"),
        ("new_product", "NRML"),
        ("position_type", "day"),
        ("transaction_type", "BUY"),
        ("quantity", "20"),
    ];
    door.forms(Method::PUT, "/portfolio/positions", &conversion).await;
}

#[tokio::test]
async fn orders_survive_anything() {
    let door = Door::open().await;
    let price = format!("{:.2}", door.low_bid().await);
    let lot = door.contract.lot.to_string();
    for (order_type, validity) in [("LIMIT", "TTL"), ("MARKET", "DAY"), ("SL-M", "IOC")] {
        let fields = [
            ("exchange", "BFO"),
            ("tradingsymbol", door.contract.symbol.as_str()),
            ("transaction_type", "BUY"),
            ("order_type", order_type),
            ("quantity", lot.as_str()),
            ("product", "MIS"),
            ("price", price.as_str()),
            ("trigger_price", "100000"),
            ("disclosed_quantity", "0"),
            ("validity", validity),
            ("validity_ttl", "1"),
            ("market_protection", "-1"),
            ("autoslice", "true"),
            ("tag", "extreme"),
        ];
        for variety in ["regular", "amo"] {
            door.forms(Method::POST, &format!("/orders/{variety}"), &fields).await;
        }
    }
    for text in texts() {
        let path = format!("/orders/{}/{}", encode(&text), encode(&text));
        door.kite(Method::PUT, &path, String::new(), FORM).await;
        door.kite(Method::DELETE, &path, String::new(), FORM).await;
    }
}

#[tokio::test]
async fn numbers_that_no_order_has_are_refused_in_kites_words() {
    let door = Door::open().await;
    let price = door.low_bid().await;
    let form = |more: &str| {
        let form = super::client::limit_form(&door.contract, "BUY", price, "odd");
        format!("{}&{more}", form.replace("&validity=DAY", ""))
    };
    for odd in [
        "validity=TTL&validity_ttl=9223372036854775807",
        "validity=TTL&validity_ttl=1441",
        "validity=TTL&validity_ttl=-1",
        "validity=DAY&validity_ttl=-9223372036854775808",
        "disclosed_quantity=-1",
    ] {
        let (status, body) = door.client.call(Method::POST, "/orders/regular", &form(odd)).await;
        assert_eq!((status.as_u16(), &body["error_type"]), (400, &"InputException".into()));
        let name = odd.rsplit('&').next().unwrap().split('=').next().unwrap();
        assert_eq!(body["message"], format!("Invalid `{name}`."), "{odd}");
    }
    let sound = form("validity=TTL&validity_ttl=1440&disclosed_quantity=0");
    door.client.data(Method::POST, "/orders/regular", &sound).await;
}

#[tokio::test]
async fn modifications_survive_anything() {
    let door = Door::open().await;
    let client = &door.client;
    let ask = best(&client.quote(&door.contract).await, "sell");
    client
        .set_faults(json!({ "partial_fill_next": 1, "modify_quantity_is_remaining": true }))
        .await;
    let two = super::client::limit_form(&door.contract, "BUY", on_tick(ask * 1.04), "part");
    let lots = |count: i64| format!("&quantity={}&", count * door.contract.lot);
    let two = two.replace(&lots(1), &lots(2));
    let data = client.data(Method::POST, "/orders/regular", &two).await;
    let order_id = data["order_id"].as_str().unwrap().to_string();
    while client.order(&order_id).await["filled_quantity"] != door.contract.lot {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let rest = "quantity=9223372036854775807";
    let path = format!("/orders/regular/{order_id}");
    assert_eq!(client.call(Method::PUT, &path, rest).await.0, StatusCode::BAD_REQUEST);
    let disclosed = client.call(Method::PUT, &path, "disclosed_quantity=-1").await.1;
    assert_eq!(disclosed["message"], "Invalid `disclosed_quantity`.");
    let fields = [
        ("order_type", "SL"),
        ("quantity", "20"),
        ("price", "1"),
        ("trigger_price", "1"),
        ("disclosed_quantity", "0"),
        ("validity", "DAY"),
        ("market_protection", "-1"),
    ];
    door.forms(Method::PUT, &path, &fields).await;
}

#[tokio::test]
async fn calculators_survive_anything_and_refuse_odd_numbers() {
    let door = Door::open().await;
    let fields = [
        ("exchange", json!("BFO")),
        ("tradingsymbol", json!(door.contract.symbol)),
        ("transaction_type", json!("SELL")),
        ("variety", json!("regular")),
        ("product", json!("MIS")),
        ("order_type", json!("LIMIT")),
        ("quantity", json!(door.contract.lot)),
        ("price", json!(100)),
        ("average_price", json!(0)),
        ("trigger_price", json!(0)),
    ];
    let query = |name: &str, value: Value| {
        let mut fields: serde_json::Map<String, Value> =
            fields.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        fields.insert(name.to_string(), value);
        Value::Object(fields)
    };
    for path in ["/margins/orders", "/margins/basket", "/charges/orders"] {
        for object in spoiled_objects(&fields) {
            door.kite(Method::POST, path, format!("[{object}]"), JSON).await;
        }
        for (name, value) in [
            ("quantity", json!(9e18)),
            ("quantity", json!(1e300)),
            ("quantity", json!(-20)),
            ("quantity", json!(0)),
            ("quantity", json!(20.5)),
            ("price", json!(1e300)),
            ("price", json!(-1)),
            ("average_price", json!(1e15)),
        ] {
            let body = json!([query(name, value)]).to_string();
            let status = door.kite(Method::POST, path, body.clone(), JSON).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {body}");
        }
        let largest = json!({ "quantity": 10_000_000.0, "price": 1_000_000 });
        let mut most = query("price", largest["price"].clone());
        most["quantity"] = largest["quantity"].clone();
        let body = Value::from(vec![most; 500]).to_string();
        assert_eq!(door.kite(Method::POST, path, body, JSON).await, StatusCode::OK, "{path}");
        for body in ["[".repeat(100_000), "{}".to_string(), "[1]".to_string(), " ".to_string()] {
            door.kite(Method::POST, path, body, JSON).await;
        }
    }
    door.still_there().await;
}

#[tokio::test]
async fn trades_by_hand_keep_to_lots_and_products() {
    let door = Door::open().await;
    let fields = [
        ("exchange", json!("BFO")),
        ("tradingsymbol", json!(door.contract.symbol)),
        ("transaction_type", json!("BUY")),
        ("quantity", json!(door.contract.lot)),
        ("product", json!("MIS")),
    ];
    for object in spoiled_objects(&fields) {
        door.kite(Method::POST, "/_sim/manual_trade", object, JSON).await;
    }
    let wish = |name: &str, value: Value| {
        let mut wish: serde_json::Map<String, Value> =
            fields.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        wish.insert(name.to_string(), value);
        Value::Object(wish)
    };
    let before = door.client.own("books").await["trades"].as_array().unwrap().len();
    for (name, value) in [
        ("quantity", json!(9_000_000_000_000_000_000_i64)),
        ("quantity", json!(-door.contract.lot)),
        ("quantity", json!(0)),
        ("quantity", json!(door.contract.lot + 1)),
        ("product", json!("XYZ")),
        ("product", json!("CNC")),
    ] {
        let (status, body) = door.client.post_own("manual_trade", wish(name, value)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(body["error_type"], "InputException", "{body}");
    }
    let after = door.client.own("books").await;
    assert_eq!(after["trades"].as_array().unwrap().len(), before, "{}", after["trades"]);
}

#[tokio::test]
async fn switches_survive_anything() {
    let door = Door::open().await;
    let list = door.client.own("faults").await;
    let names = list.as_array().unwrap().iter().filter_map(|row| row["name"].as_str());
    for name in names {
        for text in json_texts() {
            let body = format!("{{\"{name}\":{text}}}");
            door.kite(Method::POST, "/_sim/faults", body, JSON).await;
        }
        door.still_there().await;
        let (status, _) = door.client.post_own("faults", json!({ name: "0" })).await;
        assert!(status == StatusCode::OK || status == StatusCode::BAD_REQUEST, "{name}");
    }
    let most = u32::MAX;
    door.client
        .set_faults(
            json!({ "extra_latency_ms": most, "late_visibility_s": most, "reject_next": "" }),
        )
        .await;
    let price = door.low_bid().await;
    door.client.place_limit(&door.contract, "BUY", price, "far").await;
    door.still_there().await;
}

#[tokio::test]
async fn the_bots_side_survives_anything() {
    let door = Door::open().await;
    let markup = r#"{"inline_keyboard":[[{"text":"a","callback_data":"b"}]]}"#;
    let message = [
        ("chat_id", "7"),
        ("message_id", "1"),
        ("text", "hello"),
        ("caption", "hello"),
        ("parse_mode", "HTML"),
        ("reply_markup", markup),
        ("disable_notification", "true"),
        ("callback_query_id", "1"),
        ("commands", "[]"),
    ];
    for method in [
        "getMe",
        "sendMessage",
        "editMessageText",
        "editMessageReplyMarkup",
        "sendPhoto",
        "answerCallbackQuery",
        "setMyCommands",
        "getMyCommands",
    ] {
        let path = format!("/bot1:x/{method}");
        for form in spoiled_forms(&message) {
            door.telegram(&path, "", form.clone(), FORM).await;
            door.telegram(&path, &form, String::new(), FORM).await;
        }
    }
    let update = json!({ "chat_id": 7, "user_id": 7, "text": "hello" }).to_string();
    for form in spoiled_forms(&[("offset", "0"), ("limit", "1"), ("timeout", "0")]) {
        // Something to fetch, so that no poll has to wait.
        door.telegram("/_sim/telegram/send", "", update.clone(), JSON).await;
        door.telegram("/bot1:x/getUpdates", &form, String::new(), FORM).await;
    }
    let oldest = "offset=-9223372036854775808";
    assert_eq!(door.telegram("/bot1:x/getUpdates", oldest, String::new(), FORM).await, 200);
}

#[tokio::test]
async fn the_peoples_side_survives_anything() {
    let door = Door::open().await;
    let hello = "chat_id=7&text=hello".to_string();
    door.telegram("/bot1:x/sendMessage", "", hello, FORM).await;
    let person = [("chat_id", json!(7)), ("user_id", json!(7))];
    let with = |more: &[(&'static str, Value)]| [person.as_slice(), more].concat();
    let fault = [
        ("method", json!("nothing")),
        ("status", json!(429)),
        ("retry_after", json!(1)),
        ("count", json!(1)),
        ("delay_ms", json!(0)),
        ("carried_out", json!(false)),
    ];
    for (what, fields) in [
        ("send", with(&[("text", json!("hello")), ("age_s", json!(0))])),
        ("press", with(&[("message_id", json!(1)), ("data", json!("b"))])),
        ("redeliver", vec![("update_id", json!(1))]),
        ("faults", fault.to_vec()),
    ] {
        for object in spoiled_objects(&fields) {
            door.telegram(&format!("/_sim/telegram/{what}"), "", object, JSON).await;
        }
    }
    for query in spoiled_forms(&[("since", "0"), ("wait_ms", "0")]) {
        door.telegram("/_sim/telegram/messages", &query, String::new(), FORM).await;
    }
    for status in [1, 99, 199, 399, 600, 65_535] {
        let fault = json!({ "status": status }).to_string();
        assert_eq!(door.telegram("/_sim/telegram/faults", "", fault, JSON).await, 400);
    }
    let clear = json!({ "clear": true }).to_string();
    door.telegram("/_sim/telegram/faults", "", clear, JSON).await;
    assert_eq!(door.telegram("/bot1:x/getMe", "", String::new(), FORM).await, 200);
}

#[tokio::test]
async fn the_ticker_survives_anything() {
    let door = Door::open().await;
    let mut ticker = door.client.ticker().await;
    for text in json_texts() {
        for words in [
            text.clone(),
            format!("{{\"a\":{text},\"v\":[265]}}"),
            format!("{{\"a\":\"subscribe\",\"v\":{text}}}"),
            format!("{{\"a\":\"subscribe\",\"v\":[{text}]}}"),
            format!("{{\"a\":\"unsubscribe\",\"v\":[{text}]}}"),
            format!("{{\"a\":\"mode\",\"v\":[{text},[265]]}}"),
            format!("{{\"a\":\"mode\",\"v\":[\"full\",{text}]}}"),
        ] {
            ticker.say_text(words).await;
        }
    }
    let often = vec![SENSEX; 70_000];
    ticker.say(json!({ "a": "subscribe", "v": often })).await;
    ticker.say(json!({ "a": "unsubscribe", "v": often })).await;
    ticker.say(json!({ "a": "mode", "v": ["full", often] })).await;
    loop {
        match ticker.hear().await {
            Heard::Frame(packets) if packets.iter().any(|packet| packet.len() == 32) => break,
            Heard::Frame(_) | Heard::Text(_) | Heard::Heartbeat => {}
            Heard::End => panic!("the ticker ended"),
        }
    }
    let strangers = ["", "?api_key=%00&access_token=%FF", "?api_key=demo_key&access_token="];
    let base = door.client.sim.kite_url();
    let knocks = strangers.map(|query| door.client.http.get(format!("{base}/ws{query}")).send());
    assert!(join_all(knocks).await.into_iter().all(|answer| answer.is_ok()));
    door.still_there().await;
}
