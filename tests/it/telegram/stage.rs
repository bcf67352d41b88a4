//! A bot, the server it talks to, people, and someone in pivot-trading's
//! place.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use pivot_trading::clock::Clock;
use pivot_trading::config::Config;
use pivot_trading::engine::Mode;
use pivot_trading::sim::telegram::{self as stand_in, Happened, Sent};
use pivot_trading::store::{Answer, Receipt, Role, Store};
use pivot_trading::telegram::{self, FlattenOnly, FlattenOrder};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// The owner, another operator, a viewer, and someone else.
pub(super) const OWNER: i64 = 7;
pub(super) const OPERATOR: i64 = 8;
pub(super) const VIEWER: i64 = 9;
pub(super) const STRANGER: i64 = 666;

pub(super) const DEADLINE: Duration = Duration::from_secs(40);

pub(super) struct Stage {
    runtime: Runtime,
    server: stand_in::Handle,
    http: reqwest::Client,
    folder: tempfile::TempDir,
    config: Config,
    bot: Option<Running>,
    /// Flattenings that the bot asked for.
    pub(super) flattened: mpsc::Receiver<FlattenOrder>,
    flatten: FlattenOnly,
    seen: u64,
}

struct Running {
    runtime: Runtime,
    stop: tokio::sync::oneshot::Sender<()>,
    ended: mpsc::Receiver<Result<(), String>>,
}

impl Stage {
    /// A server and a data folder; the bot is started by [`Stage::start`].
    pub(super) fn new() -> Stage {
        Stage::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Config)) -> Stage {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let server = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            stand_in::start(listener, Clock::system()).unwrap()
        });
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config {
            telegram_token: "1:secret".into(),
            telegram_chat_id: OWNER,
            ..Config::default()
        };
        config.telegram.api_url = server.url.clone();
        // How the machine of the test is, is another matter.
        let health = &mut config.health;
        (health.cpu_warning_pct, health.cpu_critical_pct) = (100, 100);
        (health.memory_warning_pct, health.memory_critical_pct) = (100, 100);
        (health.disk_warning_pct, health.disk_critical_pct) = (100, 100);
        // So is whether this is a day on which something is near.
        config.reminders.time = "23:59:59".into();
        config.telegram.operators = vec![OPERATOR];
        config.telegram.viewers = vec![VIEWER];
        config.data.dir = folder.path().join("data").display().to_string();
        config.data.log_dir = folder.path().join("logs").display().to_string();
        change(&mut config);
        let (told, flattened) = mpsc::channel();
        let flatten: FlattenOnly = std::sync::Arc::new(move |order| {
            told.send(order).unwrap();
            Box::pin(std::future::ready(Err("nobody is logged in".to_string())))
        });
        let http = reqwest::Client::new();
        let stage =
            Stage { runtime, server, http, folder, config, bot: None, flattened, flatten, seen: 0 };
        // The data folder and its tables are there before anyone asks.
        stage.store(Role::Trading);
        stage
    }

    /// Starts the bot; a process would have a runtime of its own as well.
    pub(super) fn start(&mut self) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (end, ended) = mpsc::channel();
        let (config, flatten) = (self.config.clone(), self.flatten.clone());
        runtime.spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            let run = telegram::run_flattening(config, Clock::system(), flatten, shutdown);
            let _ = end.send(run.await.map_err(|error| error.to_string()));
        });
        self.bot = Some(Running { runtime, stop, ended });
    }

    /// Ends the bot as SIGTERM does.
    pub(super) fn stop(&mut self) {
        let bot = self.bot.take().unwrap();
        bot.stop.send(()).unwrap();
        bot.ended.recv_timeout(DEADLINE).unwrap().unwrap();
        bot.runtime.shutdown_background();
    }

    /// Waits until the bot has ended by itself.
    pub(super) fn ended(&mut self) {
        let bot = self.bot.take().unwrap();
        bot.ended.recv_timeout(DEADLINE).unwrap().unwrap();
        bot.runtime.shutdown_background();
    }

    /// Ends the bot as SIGKILL does: nothing more is done.
    pub(super) fn crash(&mut self) {
        let bot = self.bot.take().unwrap();
        bot.runtime.shutdown_timeout(Duration::from_secs(5));
    }

    pub(super) fn data(&self) -> PathBuf {
        Path::new(&self.config.data.dir).to_path_buf()
    }

    pub(super) fn store(&self, role: Role) -> Store {
        Store::open(&self.data(), role, Mode::Demo).unwrap()
    }

    pub(super) fn control(&self, what: &str, body: Value) -> Value {
        let url = format!("{}/_sim/telegram/{what}", self.server.url);
        self.runtime.block_on(async {
            let answer = self.http.post(url).json(&body).send().await.unwrap();
            assert!(answer.status().is_success(), "{what}: {}", answer.status());
            answer.json().await.unwrap_or(Value::Null)
        })
    }

    /// A person writes in a private chat; answers with the update's number.
    pub(super) fn write(&self, user: i64, text: &str) -> i64 {
        self.write_late(user, text, 0)
    }

    pub(super) fn write_late(&self, user: i64, text: &str, age_s: i64) -> i64 {
        let body = json!({"chat_id": user, "user_id": user, "text": text, "age_s": age_s});
        self.control("send", body)["update_id"].as_i64().unwrap()
    }

    /// A person presses the button with this label below a message.
    pub(super) fn press(&self, user: i64, below: &Sent, label: &str) {
        let button = below.buttons.iter().flatten().find(|button| button.text.contains(label));
        let data = button.unwrap_or_else(|| panic!("no {label} below {below:?}")).data.clone();
        let body = json!({
            "chat_id": below.chat_id, "user_id": user, "message_id": below.message_id, "data": data,
        });
        self.control("press", body);
    }

    fn sent_after(&self, since: u64, wait_ms: u64) -> Vec<Sent> {
        let url = format!("{}/_sim/telegram/messages", self.server.url);
        let url = format!("{url}?since={since}&wait_ms={wait_ms}");
        let mut body: Value = self
            .runtime
            .block_on(async { self.http.get(url).send().await.unwrap().json().await.unwrap() });
        serde_json::from_value(body["messages"].take()).unwrap()
    }

    /// Waits for the next message to a chat that holds these words; those
    /// before it are passed over.
    pub(super) fn expect(&mut self, chat: i64, words: &str) -> Sent {
        let deadline = Instant::now() + DEADLINE;
        let mut passed = Vec::new();
        while Instant::now() < deadline {
            for sent in self.sent_after(self.seen, 200) {
                self.seen = sent.seq;
                if sent.chat_id == chat && sent.text.contains(words) {
                    return sent;
                }
                passed.push(sent.text);
            }
        }
        panic!("no message with {words:?}; there were {passed:#?}");
    }

    /// Waits for a message wherever it stands among the others.
    pub(super) fn question(&self, chat: i64, words: &str) -> Sent {
        self.until(words, || {
            let sent = self.sent_after(0, 0);
            sent.into_iter().find(|sent| sent.chat_id == chat && sent.text.contains(words))
        })
    }

    /// Waits for the word that ends a pressed button's clock.
    pub(super) fn expect_word(&mut self, words: &str) {
        self.expect(0, words);
    }

    /// All texts so far, of new messages only.
    pub(super) fn texts(&self, chat: i64) -> Vec<String> {
        let sent = self.sent_after(0, 0);
        let new = sent.into_iter().filter(|sent| {
            sent.chat_id == chat && matches!(sent.kind, Happened::Text | Happened::Photo)
        });
        new.map(|sent| sent.text).collect()
    }

    /// Waits for the next request in the inbox.
    pub(super) fn asked(&self, after: i64) -> Receipt {
        let reader = self.store(Role::Reader);
        self.until("a request", || reader.inbox_after(after, 1).unwrap().pop())
    }

    pub(super) fn answer(&self, request: i64, done: bool, text: &str) {
        let answer = Answer { request, done, text: text.into(), at: Clock::system().now() };
        self.store(Role::Trading).answer(&answer).unwrap();
    }

    pub(super) fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < deadline, "{what} did not come");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Writes a row that only the engine's facts make otherwise.
    pub(super) fn sql(&self, sql: &str) {
        let path = self.folder.path().join("data/trading.db");
        rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(bot) = self.bot.take() {
            bot.runtime.shutdown_background();
        }
    }
}
