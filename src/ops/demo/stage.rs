//! The processes of the demo: a simulator and the three services, each its
//! own, in a folder of their own.

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::NaiveDate;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::Args;
use crate::clock::{CLOCK_FILE_ENV, Conductor};
use crate::config::Config;
use crate::market::Timestamp;
use crate::market::time::{from_ist, hms};
use crate::ops::WrongUsage;

/// The chat of the operator that the demo plays.
pub(super) const CHAT: i64 = 424_242;

const API_KEY: &str = "demo_key";
const API_SECRET: &str = "demo-secret-of-the-local-stand-in";
const TELEGRAM_TOKEN: &str = "4242:demo-token-of-the-local-stand-in";

/// Real time that a process is given to start or to stop.
const PROCESS_PATIENCE: Duration = Duration::from_secs(20);

/// Pause of the supervisor before it starts a dead service again, in market
/// time (`RestartSec` of the units).
const RESTART_AFTER: chrono::TimeDelta = chrono::TimeDelta::seconds(10);

/// A service of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Auth,
    Trading,
    Bot,
}

impl Service {
    const ALL: [Service; 3] = [Service::Auth, Service::Trading, Service::Bot];

    pub(super) fn parse(text: &str) -> Option<Service> {
        Service::ALL.into_iter().find(|service| service.as_str() == text)
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Service::Auth => "auth",
            Service::Trading => "trading",
            Service::Bot => "bot",
        }
    }
}

/// Everything that runs, and how to reach it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    pub(super) conductor: Conductor,
    pub(super) http: reqwest::Client,
    pub(super) urls: Urls,
    clock_file: PathBuf,
    seed: u64,
    sim: Option<Child>,
    services: Vec<(Service, Option<Child>)>,
    restarts: Vec<(Service, Timestamp)>,
    /// The trading service's last progress before it was killed, and when.
    lost: Option<(Timestamp, Instant)>,
}

/// Addresses of the local world.
#[derive(Debug, Clone)]
pub(super) struct Urls {
    pub(super) kite: String,
    pub(super) ticker: String,
    pub(super) telegram: String,
    pub(super) auth: String,
    kite_port: u16,
    telegram_port: u16,
    auth_port: u16,
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("could not find a free port")?;
    Ok(listener.local_addr()?.port())
}

impl Stage {
    pub(super) fn open(
        folder: &Path,
        args: &Args,
        instrument: &str,
        date: NaiveDate,
    ) -> anyhow::Result<Stage> {
        let clock_file = folder.join("clock");
        let conductor = Conductor::create(&clock_file, from_ist(date, hms(7, 58, 0)))?;
        let (kite_port, telegram_port, auth_port) = (free_port()?, free_port()?, free_port()?);
        let urls = Urls {
            kite: format!("http://127.0.0.1:{kite_port}"),
            ticker: format!("ws://127.0.0.1:{kite_port}"),
            telegram: format!("http://127.0.0.1:{telegram_port}"),
            auth: format!("http://127.0.0.1:{auth_port}"),
            kite_port,
            telegram_port,
            auth_port,
        };
        write_config(folder, args, instrument, &urls)?;
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Stage {
            folder: folder.to_owned(),
            conductor,
            http,
            urls,
            clock_file,
            seed: args.seed,
            sim: None,
            services: Service::ALL.into_iter().map(|service| (service, None)).collect(),
            restarts: Vec::new(),
            lost: None,
        })
    }

    pub(super) fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Brings the clock to the morning of a date and starts what must run.
    /// The timers of a real machine restart auth and trading at 08:00.
    pub(super) async fn open_day(&mut self, date: NaiveDate, first: bool) -> anyhow::Result<()> {
        if !first {
            self.end_sim().await;
            let morning = from_ist(date, hms(7, 58, 0));
            self.conductor.run(1e9, morning)?;
        }
        self.start_sim(date).await?;
        for service in Service::ALL {
            if self.child(service).is_none() {
                self.start(service)?;
            }
        }
        self.wait_for_health().await
    }

    fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let program = std::env::current_exe().context("could not find this program's file")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env(CLOCK_FILE_ENV, &self.clock_file)
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }

    async fn start_sim(&mut self, date: NaiveDate) -> anyhow::Result<()> {
        let kite = format!("127.0.0.1:{}", self.urls.kite_port);
        let telegram = format!("127.0.0.1:{}", self.urls.telegram_port);
        let (seed, date) = (self.seed.to_string(), date.to_string());
        let clock = self.clock_file.display().to_string();
        let redirect = format!("{}/callback", self.urls.auth);
        let postback = format!("{}/postback", self.urls.auth);
        let mut command = self.command(&[
            "sim",
            "--listen",
            &kite,
            "--telegram-listen",
            &telegram,
            "--date",
            &date,
            "--seed",
            &seed,
            "--clock-file",
            &clock,
            "--api-key",
            API_KEY,
            "--api-secret",
            API_SECRET,
            "--redirect-url",
            &redirect,
            "--postback-url",
            &postback,
        ])?;
        let log = File::create(self.folder.join("sim.stderr"))?;
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("could not start the sim")?;
        let stdout = child.stdout.take().context("the sim has no output")?;
        let mut line = String::new();
        let mut output = BufReader::new(stdout);
        tokio::time::timeout(PROCESS_PATIENCE, output.read_line(&mut line))
            .await
            .context("the sim did not get ready")?
            .context("could not read what the sim says")?;
        let ready: Value = serde_json::from_str(&line)
            .with_context(|| format!("the sim did not get ready, it said {line:?}"))?;
        anyhow::ensure!(ready.get("kite").is_some(), "the sim said {line:?}");
        self.sim = Some(child);
        Ok(())
    }

    fn child(&mut self, service: Service) -> &mut Option<Child> {
        let index = Service::ALL.iter().position(|one| *one == service).unwrap_or_default();
        &mut self.services[index].1
    }

    fn start(&mut self, service: Service) -> anyhow::Result<()> {
        let name = service.as_str();
        let stderr = File::options()
            .append(true)
            .create(true)
            .open(self.folder.join(format!("{name}.stderr")))?;
        let child = self
            .command(&["service", name, "--config", "config.json"])?
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("could not start pivot-{name}"))?;
        *self.child(service) = Some(child);
        Ok(())
    }

    async fn wait_for_health(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PROCESS_PATIENCE;
        let url = format!("{}/health", self.urls.auth);
        while Instant::now() < deadline {
            self.check_alive()?;
            if self.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!("pivot-auth did not answer at {url}")
    }

    /// No service may end in failure by itself.
    fn check_alive(&mut self) -> anyhow::Result<()> {
        for (service, child) in &mut self.services {
            let Some(child) = child else { continue };
            if let Some(status) = child.try_wait()?.filter(|status| !status.success()) {
                anyhow::bail!("pivot-{} ended by itself: {status}", service.as_str());
            }
        }
        Ok(())
    }

    /// Kills a service without warning; the supervisor starts it again.
    pub(super) async fn kill(&mut self, service: Service) -> anyhow::Result<()> {
        if let Some(mut child) = self.child(service).take() {
            child.kill().await.with_context(|| format!("could not kill {}", service.as_str()))?;
        }
        self.restarts.push((service, self.conductor.now() + RESTART_AFTER));
        if service == Service::Trading {
            let progress = self.conductor.progress("trading");
            self.lost = progress.map(|(progress, _)| (progress, Instant::now()));
        }
        Ok(())
    }

    /// True while a service is on its way back: real time is what that takes.
    pub(super) fn is_recovering(&mut self) -> bool {
        if let Some((progress, since)) = self.lost {
            let back = self.conductor.progress("trading").is_some_and(|(now, _)| now > progress);
            if back || since.elapsed() > PROCESS_PATIENCE {
                self.lost = None;
            }
        }
        self.lost.is_some() || !self.restarts.is_empty()
    }

    /// Does what a supervisor does: starts what has died.
    pub(super) fn supervise(&mut self) -> anyhow::Result<Vec<&'static str>> {
        let now = self.conductor.now();
        for service in Service::ALL {
            let died = match self.child(service) {
                Some(child) => child.try_wait()?.is_some(),
                None => false,
            };
            if died {
                *self.child(service) = None;
                self.restarts.push((service, now + RESTART_AFTER));
            }
        }
        let due: Vec<Service> = self
            .restarts
            .iter()
            .filter(|(_, at)| *at <= now)
            .map(|(service, _)| *service)
            .collect();
        self.restarts.retain(|(_, at)| *at > now);
        for service in &due {
            self.start(*service)?;
        }
        Ok(due.into_iter().map(Service::as_str).collect())
    }

    /// The exchange's own books.
    pub(super) async fn books(&self) -> anyhow::Result<Value> {
        let url = format!("{}/_sim/books", self.urls.kite);
        let answer = self.http.get(&url).send().await.context("the sim does not answer")?;
        answer.json().await.context("the sim's books are unreadable")
    }

    async fn end_sim(&mut self) {
        if let Some(mut child) = self.sim.take() {
            terminate(&mut child).await;
        }
    }

    /// Ends everything, politely first.
    pub(super) async fn close(&mut self) {
        // Time must go on for those who wait for it while they stop.
        let goal = self.conductor.now() + chrono::TimeDelta::hours(1);
        let _ = self.conductor.run(1.0, goal);
        for (_, child) in &mut self.services {
            if let Some(mut child) = child.take() {
                terminate(&mut child).await;
            }
        }
        self.end_sim().await;
    }

    /// Prints what the processes said last, when a day went wrong.
    pub(super) fn show_last_words(&self) {
        for name in ["sim", "auth", "trading", "bot"] {
            let path = self.folder.join(format!("{name}.stderr"));
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            for line in lines.iter().skip(lines.len().saturating_sub(6)) {
                errln!("{name}: {line}");
            }
        }
    }
}

async fn terminate(child: &mut Child) {
    let pid =
        child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // A process that is gone already needs no signal.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    if tokio::time::timeout(PROCESS_PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

fn write_config(folder: &Path, args: &Args, instrument: &str, urls: &Urls) -> anyhow::Result<()> {
    let config = json!({
        "api_key": API_KEY,
        "api_secret": API_SECRET,
        "telegram_token": TELEGRAM_TOKEN,
        "telegram_chat_id": CHAT,
        "auth": {
            "listen": format!("127.0.0.1:{}", urls.auth_port),
            "redirect_url": format!("{}/callback", urls.auth),
        },
        "trading": {
            "mode": "demo",
            "strategy": args.strategy,
            "instrument": instrument,
        },
        // The clock stands while a service catches up, so that waiting longer
        // for the last prices of a candle costs nothing and keeps the day the
        // same on slow machines.
        "market": { "candle_grace_ms": 8000 },
        "kite": {
            "base_url": urls.kite,
            "login_url": format!("{}/connect/login", urls.kite),
            "ticker_url": urls.ticker,
        },
        "telegram": { "api_url": urls.telegram },
        "data": { "dir": "data", "log_dir": "logs" },
    });
    let text = serde_json::to_string_pretty(&config)?;
    if let Err(error) = Config::parse(&text) {
        return Err(WrongUsage(format!("no such demo: {error}")).into());
    }
    let path = folder.join("config.json");
    let write = || {
        let mut options = File::options();
        // People copy it as the beginning of their own.
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&path)?.write_all(text.as_bytes())
    };
    write().with_context(|| format!("could not write {}", path.display()))
}
