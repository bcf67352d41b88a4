//! A simulated broker and chat, and the services, each its own process, with
//! a clock that is hurried only while nothing is looked at.

mod broker;
mod chat;
mod setup;

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use chrono::{NaiveDate, TimeDelta};
use pivot_trading::clock::{CLOCK_FILE_ENV, Conductor};
use pivot_trading::engine::Mode;
use pivot_trading::market::Timestamp;
use pivot_trading::market::time::{from_ist, hms};
use pivot_trading::store::{Role, Store, is_write_locked};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process};
use serde_json::Value;

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
const FAST: f64 = 600.0;
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
    auth_port: u16,
    seen: u64,
    moved: Option<PathBuf>,
    pub(super) trading: Option<Child>,
    pub(super) bot: Option<Child>,
    pub(super) auth: Option<Child>,
}

pub(super) fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl World {
    /// A logged-in morning with a broker whose price crosses a level every
    /// four minutes; no service runs yet.
    pub(super) fn open() -> World {
        World::open_with(|_| {})
    }

    pub(super) fn open_with(change: impl FnOnce(&mut Value)) -> World {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let start = from_ist(date(), hms(9, 16, 30));
        let conductor = Conductor::create(&folder.path().join("clock"), start).unwrap();
        std::fs::write(folder.path().join("script"), setup::zigzag()).unwrap();
        let auth_port = free_port();
        let (sim, ready) = setup::start_sim(folder.path(), auth_port);
        let address = |name: &str| ready[name].as_str().unwrap().to_string();
        let (kite, telegram) = (address("kite"), address("telegram"));
        let mut config = setup::config(&kite, &address("ticker"), &telegram, auth_port);
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
            auth_port,
            seen: 0,
            moved: None,
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

    fn spawn(&self, program: &str, name: &str) -> Child {
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.folder.path().join(format!("{name}.err")))
            .unwrap();
        self.command(program).stderr(log).stdout(Stdio::null()).spawn().unwrap()
    }

    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env(CLOCK_FILE_ENV, self.folder.path().join("clock"))
            .env_remove("NOTIFY_SOCKET")
            .envs(self.moved.iter().map(|folder| ("PIVOT_DATA_DIR", folder)))
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
        let port = self.auth_port;
        let listens = |_: &World| TcpStream::connect(("127.0.0.1", port)).ok();
        self.wait_for("pivot-auth", listens);
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

    /// Stops a service at a moment at which it keeps nobody from the database.
    pub(super) fn stop(&self, service: &str) {
        self.wait_for("a moment without a lock", |world| {
            world.signal(service, Signal::STOP);
            let free = !is_write_locked(&world.data()).unwrap();
            if !free {
                world.signal(service, Signal::CONT);
            }
            free.then_some(())
        });
    }

    pub(super) fn signal(&self, service: &str, signal: Signal) {
        let child = match service {
            "trading" => &self.trading,
            "bot" => &self.bot,
            "auth" => &self.auth,
            other => panic!("there is no {other}"),
        };
        kill_process(Pid::from_child(child.as_ref().unwrap()), signal).unwrap();
    }

    pub(super) fn signal_trading(&self, signal: Signal) {
        kill_process(Pid::from_child(self.trading.as_ref().unwrap()), signal).unwrap();
    }

    pub(super) fn kill_trading(&mut self) {
        let mut child = self.trading.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(super) fn kill_bot(&mut self) {
        let mut child = self.bot.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Forbids pivot-trading to write beyond the first bytes of any file.
    pub(super) fn fill_disk_of_trading(&self) {
        let pid = Pid::from_child(self.trading.as_ref().unwrap());
        let limit = Rlimit { current: Some(4096), maximum: Some(4096) };
        rustix::process::prlimit(Some(pid), Resource::Fsize, limit).unwrap();
    }

    /// True when pivot-trading has ended by itself.
    pub(super) fn trading_has_ended(&mut self) -> bool {
        self.trading.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
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
        self.moved.clone().unwrap_or_else(|| self.folder.path().join("data"))
    }

    /// From now on the services work in another folder beside.
    pub(super) fn move_to(&mut self, name: &str) {
        self.moved = Some(self.folder.path().join(name));
    }

    pub(super) fn store(&self, role: Role) -> Store {
        Store::open(&self.data(), role, Mode::Demo).unwrap()
    }

    pub(super) fn sql(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.data().join("trading.db")).unwrap();
        connection.busy_timeout(DEADLINE).unwrap();
        connection.execute_batch(sql).unwrap();
    }

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

    /// Hurries until the day is prepared.
    pub(super) fn prepare(&mut self) {
        self.hurry_until("a prepared day", |world| {
            world.store(Role::Reader).outlook(date()).ok().filter(|rows| !rows.is_empty())
        });
    }

    fn trading_is_calm(&self) -> bool {
        self.conductor.progress("trading").is_some_and(|(_, busy)| !busy)
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
