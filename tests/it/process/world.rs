//! A simulated broker and chat, and the services, each its own process, with
//! a clock that is hurried only while nothing is looked at.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use chrono::{NaiveDate, TimeDelta};
use pivot_trading::clock::{CLOCK_FILE_ENV, Clock, Conductor, real_now};
use pivot_trading::engine::Mode;
use pivot_trading::engine::event::OperatorAction;
use pivot_trading::engine::strategy::level_breakout::rules::DayLevels;
use pivot_trading::kite::{Client, ClientOptions};
use pivot_trading::market::calendar::Calendar;
use pivot_trading::market::time::{from_ist, hms};
use pivot_trading::market::{DayCandle, Exchange, InstrumentKey, Price, Timestamp};
use pivot_trading::sim::model::{Interval, Market};
use pivot_trading::sim::telegram::Sent;
use pivot_trading::store::{
    Answer, Ask, BrokerSession, Request, Role, SessionStatus, Source, Store,
};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process};
use secrecy::SecretString;
use serde_json::{Value, json};

/// The owner's chat.
pub(super) const OWNER: i64 = 424_242;

/// The share that is traded.
pub(super) const SHARE: &str = "RELIANCE";

/// How long anything is waited for.
pub(super) const DEADLINE: Duration = Duration::from_secs(40);

/// Pauses between looks.
const LOOK: Duration = Duration::from_millis(3);

/// The same while the clock is hurried.
const LOOK_HURRIED: Duration = Duration::from_millis(20);

/// Pace while nothing is looked at, and while an order is on its way.
const FAST: f64 = 300.0;
const SLOW: f64 = 20.0;

/// Market time that the clock may be ahead of the slowest process.
const LEAD: TimeDelta = TimeDelta::seconds(2);

pub(super) struct World {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    folder: tempfile::TempDir,
    conductor: Conductor,
    sim: Child,
    kite: String,
    telegram: String,
    seen: u64,
    pub(super) trading: Option<Child>,
    pub(super) bot: Option<Child>,
    pub(super) auth: Option<Child>,
}

pub(super) fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).unwrap()
}

impl World {
    /// A logged-in morning with a broker whose price crosses a level every
    /// other minute; no service runs yet.
    pub(super) fn open() -> World {
        World::open_with(|_| {})
    }

    pub(super) fn open_with(change: impl FnOnce(&mut Value)) -> World {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let start = from_ist(date(), hms(9, 16, 30));
        let conductor = Conductor::create(&folder.path().join("clock"), start).unwrap();
        std::fs::write(folder.path().join("script"), zigzag()).unwrap();
        let (sim, ready) = start_sim(folder.path());
        let address = |name: &str| ready[name].as_str().unwrap().to_string();
        let (kite, telegram) = (address("kite"), address("telegram"));
        let mut config = config(&kite, &address("ticker"), &telegram);
        change(&mut config);
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        let mut world = World {
            runtime,
            http,
            folder,
            conductor,
            sim,
            kite,
            telegram,
            seen: 0,
            trading: None,
            bot: None,
            auth: None,
        };
        world.real_time();
        world.log_in();
        world
    }

    /// The same with pivot-trading and pivot-bot at work and a position open.
    pub(super) fn holding() -> World {
        let mut world = World::open();
        world.start_trading();
        world.start_bot();
        world.enter();
        world
    }

    // ---- processes

    fn spawn(&self, program: &str, name: &str) -> Child {
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.folder.path().join(format!("{name}.err")))
            .unwrap();
        self.command(program).stderr(log).stdout(Stdio::null()).spawn().unwrap()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env(CLOCK_FILE_ENV, self.folder.path().join("clock"))
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null());
        command
    }

    pub(super) fn start_trading(&mut self) {
        self.trading = Some(self.spawn(env!("CARGO_BIN_EXE_pivot-trading"), "trading"));
    }

    pub(super) fn start_bot(&mut self) {
        self.bot = Some(self.spawn(env!("CARGO_BIN_EXE_pivot-bot"), "bot"));
    }

    pub(super) fn start_auth(&mut self) {
        self.auth = Some(self.spawn(env!("CARGO_BIN_EXE_pivot-auth"), "auth"));
    }

    pub(super) fn start_ctl(&self, arguments: &[&str]) -> Child {
        self.command(env!("CARGO_BIN_EXE_pivotctl"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Starts pivot-trading through the shell, which sets limits first.
    pub(super) fn start_trading_by(&mut self, shell: &str) {
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.folder.path().join("trading.err"))
            .unwrap();
        let line = format!("{shell}; exec {}", env!("CARGO_BIN_EXE_pivot-trading"));
        let child = self.command("sh").args(["-c", &line]).stderr(log).spawn().unwrap();
        self.trading = Some(child);
    }

    pub(super) fn signal_trading(&self, signal: Signal) {
        kill_process(Pid::from_child(self.trading.as_ref().unwrap()), signal).unwrap();
    }

    pub(super) fn kill_trading(&mut self) {
        let mut child = self.trading.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Forbids pivot-trading to write beyond the first bytes of any file.
    pub(super) fn fill_disk_of_trading(&self) {
        let pid = Pid::from_child(self.trading.as_ref().unwrap());
        let limit = Rlimit { current: Some(4096), maximum: Some(4096) };
        rustix::process::prlimit(Some(pid), Resource::Fsize, limit).unwrap();
    }

    /// Waits until pivot-trading has ended by itself.
    pub(super) fn trading_ended(&mut self) -> ExitStatus {
        let mut child = self.trading.take().unwrap();
        self.wait_for("the end of pivot-trading", |_| child.try_wait().unwrap())
    }

    /// What a service wrote to its standard error.
    pub(super) fn words_of(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(format!("{name}.err"))).unwrap_or_default()
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(super) fn store(&self, role: Role) -> Store {
        Store::open(&self.data(), role, Mode::Demo).unwrap()
    }

    pub(super) fn sql(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.data().join("trading.db")).unwrap();
        connection.busy_timeout(DEADLINE).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    // ---- time

    /// From now on the clock runs as fast as a real one.
    pub(super) fn real_time(&mut self) {
        let horizon = self.conductor.now() + TimeDelta::days(1);
        self.conductor.run(1.0, horizon).unwrap();
    }

    pub(super) fn now(&self) -> Timestamp {
        self.conductor.now()
    }

    /// One look at the clock while it is hurried, never ahead of those who
    /// work.
    fn hurry(&mut self) {
        let progress: Vec<(Timestamp, bool)> = ["sim", "trading"]
            .into_iter()
            .filter_map(|name| self.conductor.progress(name))
            .collect();
        let busy = progress.iter().any(|(_, busy)| *busy);
        let slowest = progress.iter().map(|(at, _)| *at).min();
        let horizon = slowest.map_or(self.conductor.now(), |at| at + LEAD);
        self.conductor.run(if busy { SLOW } else { FAST }, horizon).unwrap();
    }

    /// Hurries until pivot-trading holds a position whose stop rests, and
    /// then lets the clock run like a real one. Answers the units.
    pub(super) fn enter(&mut self) -> i64 {
        self.hurry_until("an entry", |world| {
            let held = world.held();
            let stands = held != 0 && world.resting_stops() == 1 && world.trading_is_calm();
            stands.then_some(held)
        })
    }

    /// Hurries until something is there, and then lets the clock run like a
    /// real one.
    pub(super) fn hurry_until<T>(&mut self, what: &str, look: impl Fn(&World) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        let mut looked = Instant::now();
        loop {
            assert!(Instant::now() < deadline, "{what} did not come\n{}", self.report());
            self.hurry();
            std::thread::sleep(LOOK);
            if looked.elapsed() < LOOK_HURRIED {
                continue;
            }
            looked = Instant::now();
            if let Some(found) = look(self) {
                self.real_time();
                return found;
            }
        }
    }

    fn trading_is_calm(&self) -> bool {
        self.conductor.progress("trading").is_some_and(|(_, busy)| !busy)
    }

    // ---- the broker

    pub(super) fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.kite);
        self.runtime
            .block_on(async { self.http.get(url).send().await.unwrap().json().await.unwrap() })
    }

    fn post(&self, url: String, body: &Value) -> Value {
        self.runtime.block_on(async {
            let answer = self.http.post(&url).json(body).send().await.unwrap();
            assert!(answer.status().is_success(), "{url}: {}", answer.text().await.unwrap());
            answer.json().await.unwrap_or(Value::Null)
        })
    }

    pub(super) fn fault(&self, name: &str, value: impl Into<Value>) {
        let body = Value::Object([(name.to_string(), value.into())].into_iter().collect());
        self.post(format!("{}/_sim/faults", self.kite), &body);
    }

    /// Units of all positions together, as the exchange knows them.
    pub(super) fn held(&self) -> i64 {
        let books = self.get("/_sim/books");
        let rows = books["positions"].as_array().unwrap();
        rows.iter().map(|row| row["quantity"].as_i64().unwrap()).sum()
    }

    /// Orders that are not at their end.
    pub(super) fn working(&self) -> Vec<Value> {
        let ended = ["COMPLETE", "CANCELLED", "REJECTED"];
        let books = self.get("/_sim/books");
        let orders = books["orders"].as_array().unwrap().iter();
        orders.filter(|row| !ended.contains(&row["status"].as_str().unwrap())).cloned().collect()
    }

    pub(super) fn resting_stops(&self) -> usize {
        self.working().iter().filter(|row| row["status"] == "TRIGGER PENDING").count()
    }

    /// Number of the last request so far.
    pub(super) fn mark(&self) -> u64 {
        self.get("/_sim/log?since=0").as_array().unwrap().last().unwrap()["seq"].as_u64().unwrap()
    }

    /// Requests since a mark that can change orders.
    pub(super) fn order_calls(&self, since: u64) -> Vec<Value> {
        let log = self.get(&format!("/_sim/log?since={since}"));
        let changes = |entry: &&Value| {
            entry["method"] != "GET" && entry["path"].as_str().unwrap().starts_with("/orders/")
        };
        log.as_array().unwrap().iter().filter(changes).cloned().collect()
    }

    /// Waits for the first request since a mark that can change orders;
    /// answers when it arrived, in microseconds of real time.
    pub(super) fn first_order_call(&self, since: u64) -> i64 {
        self.wait_for("an order call", |world| {
            world.order_calls(since).first().map(|entry| entry["at_us"].as_i64().unwrap())
        })
    }

    /// Flat by the exchange's own books: nothing held, nothing working,
    /// nothing ever sold that was not bought, no tag used twice.
    pub(super) fn assert_flat(&self) {
        let books = self.get("/_sim/books");
        assert_eq!((self.held(), self.working()), (0, Vec::new()), "{}", self.report());
        let mut tags = std::collections::BTreeSet::new();
        for order in books["orders"].as_array().unwrap() {
            let tag = order["tag"].as_str().unwrap().to_string();
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

    fn log_in(&mut self) {
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
    pub(super) fn follow_login_link(&self, link: &str) {
        let back = self.redirect_of(link);
        self.runtime.block_on(async {
            self.http.get(back).send().await.unwrap().error_for_status().unwrap();
        });
    }

    /// Ends every session at the broker.
    pub(super) fn log_out(&self) {
        self.post(format!("{}/_sim/logout", self.kite), &Value::Null);
    }

    // ---- the chat

    /// The owner writes. Answers the instant just before, in microseconds.
    pub(super) fn write(&self, text: &str) -> i64 {
        let body = json!({"chat_id": OWNER, "user_id": OWNER, "text": text});
        let before = real_now().timestamp_micros();
        self.post(format!("{}/_sim/telegram/send", self.telegram), &body);
        before
    }

    pub(super) fn chat_fault(&self, fault: &Value) {
        self.post(format!("{}/_sim/telegram/faults", self.telegram), fault);
    }

    pub(super) fn messages(&self) -> Vec<Sent> {
        let url = format!("{}/_sim/telegram/messages?since=0", self.telegram);
        let mut body: Value = self
            .runtime
            .block_on(async { self.http.get(url).send().await.unwrap().json().await.unwrap() });
        serde_json::from_value(body["messages"].take()).unwrap()
    }

    /// Waits for the next message with these words; passes over others.
    pub(super) fn expect(&mut self, words: &str) -> Sent {
        let seen = self.seen;
        let found = self.wait_for(&format!("a message with {words:?}"), |world| {
            let messages = world.messages();
            messages.into_iter().find(|sent| sent.seq > seen && sent.text.contains(words))
        });
        self.seen = found.seq;
        found
    }

    /// Waits for a message with these words, wherever it stands.
    pub(super) fn told(&self, words: &str) -> Sent {
        self.wait_for(&format!("a message with {words:?}"), |world| {
            world.messages().into_iter().find(|sent| sent.text.contains(words))
        })
    }

    // ---- requests

    /// Asks pivot-trading for something without the chat, and waits.
    pub(super) fn ask(&self, action: OperatorAction) -> Answer {
        let mut store = self.store(Role::Ctl);
        let request = Request {
            source: Source::Ctl,
            update_id: None,
            chat: None,
            user: None,
            actor: "test".into(),
            ask: Ask::Operator(action),
            asked_at: self.now(),
        };
        let (id, _) = store.ask(&request).unwrap();
        self.wait_for("an answer", |_| store.answers(id).unwrap().pop())
    }

    /// Allows entries after a panic.
    pub(super) fn enable(&self) {
        self.wait_for("permission", |world| {
            let answer = world.ask(OperatorAction::Enable { confirmed: true });
            answer.done.then_some(())
        });
    }

    pub(super) fn wait_for<T>(&self, what: &str, mut look: impl FnMut(&World) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "{what} did not come\n{}", self.report());
            std::thread::sleep(LOOK);
        }
    }

    /// Everything that explains a failure.
    pub(super) fn report(&self) -> String {
        let books = self.get("/_sim/books");
        let said: Vec<String> = self.messages().into_iter().map(|sent| sent.text).collect();
        let mut text = format!("at {}\nsaid {said:#?}\norders {:#}", self.now(), books["orders"]);
        for name in ["trading", "bot", "auth"] {
            text.push_str(&format!("\n{name}: {}", self.words_of(name)));
        }
        if let Ok(entries) = std::fs::read_dir(self.folder.path().join("logs")) {
            for entry in entries.flatten() {
                let log = std::fs::read_to_string(entry.path()).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let last = &lines[lines.len().saturating_sub(25)..];
                text.push_str(&format!("\n{:?}:\n{}", entry.path(), last.join("\n")));
            }
        }
        text
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let services = [self.trading.take(), self.bot.take(), self.auth.take()];
        for mut child in services.into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = self.sim.kill();
        let _ = self.sim.wait();
    }
}

fn start_sim(folder: &Path) -> (Child, Value) {
    let mut sim = Command::new(env!("CARGO_BIN_EXE_pivotctl"))
        .current_dir(folder)
        .args(["sim", "--listen", "127.0.0.1:0", "--telegram-listen", "127.0.0.1:0"])
        .args(["--clock-file", "clock", "--script", "script", "--date", "2026-11-23"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(sim.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (sim, serde_json::from_str(&line).unwrap())
}

fn config(kite: &str, ticker: &str, telegram: &str) -> Value {
    json!({
        "api_key": "demo_key",
        "api_secret": "demo_secret",
        "telegram_token": "4242:token",
        "telegram_chat_id": OWNER,
        "trading": {
            "mode": "demo",
            "strategy": "level-breakout",
            "instrument": format!("NSE:{SHARE}"),
            "parameters": { "max_entries": 1000 },
        },
        "risk_management": {
            "max_daily_loss": 100_000,
            "max_weekly_loss": 100_000,
            "max_monthly_loss": 100_000,
            "max_trades_per_day": 100,
            "max_consecutive_losses": 100,
        },
        "orders": {
            "min_edge_multiple": 0,
            "max_messages_per_second": 10,
            "max_messages_per_minute": 400,
            "max_messages_per_day": 5000,
        },
        "market": { "candle_minutes": 1, "candle_grace_ms": 1000 },
        "kite": {
            "base_url": kite,
            "login_url": format!("{kite}/connect/login"),
            "ticker_url": ticker,
        },
        "telegram": { "api_url": telegram },
        "auth": { "listen": "127.0.0.1:0", "redirect_url": "http://127.0.0.1:1/callback" },
        "data": { "dir": "data", "log_dir": "logs" },
    })
}

/// A price that crosses the first resistance upwards in one minute and comes
/// back in the next, all day.
fn zigzag() -> String {
    let market = Market::new(1, date(), Calendar::india()).unwrap();
    let key = InstrumentKey::new(Exchange::Nse, SHARE);
    let token = market.by_key(&key).unwrap().instrument.token;
    let midnight = from_ist(date(), hms(0, 0, 0));
    let candles =
        market.history(token, Interval::Day, midnight - TimeDelta::days(7), midnight, midnight);
    let previous = candles.unwrap().into_iter().rfind(|day| day.start < midnight);
    let previous = previous.unwrap();
    let levels = DayLevels::of_day(
        &DayCandle {
            date: date(),
            open: previous.open,
            high: previous.high,
            low: previous.low,
            close: previous.close,
        },
        Price::from_paise(5),
    );
    let reach = (levels.r2 - levels.r1) / 4;
    let (low, high) = (levels.r1 - reach, levels.r1 + reach);
    let mut lines = String::new();
    for minute in (15..330).step_by(2) {
        let mut point = |second: u32, price: i64| {
            let seconds = minute * 60 + second;
            let at = hms(9, 0, 0) + TimeDelta::seconds(i64::from(seconds));
            let price = Price::from_paise(price);
            lines.push_str(&format!("{at} NSE:{SHARE} {price}\n"));
        };
        point(0, low);
        point(5, low);
        point(50, high);
        point(65, high);
        point(115, low);
    }
    lines
}
