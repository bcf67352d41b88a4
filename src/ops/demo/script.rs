//! The course of the demo's day: what the operator does, and when.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::{NaiveDate, NaiveTime, TimeDelta};

use super::Args;
use super::chat::Chat;
use super::choice::Kill;
use super::conductor::Pace;
use super::operator;
use super::screen::Screen;
use super::stage::{Service, Stage};
use crate::market::Timestamp;
use crate::market::time::{from_ist, hms, ist_time};

/// Real time that a message is waited for.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(20);

/// Pace while a message is waited for.
const WAITING: f64 = 10.0;

/// Real time that services are given to catch up before something is typed:
/// they give signs of life by real time too.
const EASE: Duration = Duration::from_millis(400);

/// Real time between looks at chat, tables and processes.
const LOOK: Duration = Duration::from_millis(40);

/// Prices flow in this time of day.
const FLOW: (NaiveTime, NaiveTime) = (hms(9, 14, 50), hms(15, 15, 5));

/// One thing that happens at a time of day.
#[derive(Debug, Clone)]
enum Act {
    LogIn,
    Expect(&'static [&'static str], &'static str),
    Type(&'static str, &'static [&'static str]),
    Kill(Service),
}

/// A day's acts in order of time.
#[derive(Debug)]
pub(super) struct Script {
    date: NaiveDate,
    fastest: f64,
    acts: Vec<(NaiveTime, Act)>,
}

impl Script {
    pub(super) fn new(args: &Args, date: NaiveDate) -> Script {
        let mut acts = vec![
            (hms(8, 0, 5), Act::LogIn),
            (hms(8, 46, 0), Act::Expect(&["flat by"], "the pre-market message")),
            (hms(8, 50, 0), Act::Type("/pivots", &["PP"])),
            (hms(9, 0, 0), Act::Type("/status", &["mode", "Mode", "DEMO"])),
            (hms(11, 15, 20), Act::Type("/why", &["close", "No decision", "no decision"])),
            (hms(13, 0, 30), Act::Type("/trades", &["rade"])),
            (hms(15, 16, 0), Act::Expect(&["Deepest fall"], "the summary")),
            (hms(15, 20, 0), Act::Type("/summary", &["Day 20"])),
        ];
        acts.extend(args.panic_at.map(|at| (at, Act::Type("/panic", &["anic", "PANIC"]))));
        acts.extend(args.kill.iter().map(|Kill { service, at }| (*at, Act::Kill(*service))));
        acts.sort_by_key(|(at, _)| *at);
        Script { date, fastest: args.speed, acts }
    }

    /// Plays the day from where the clock stands to 15:46.
    pub(super) async fn play(&self, stage: &mut Stage, screen: &mut Screen) -> anyhow::Result<()> {
        let mut player = Player {
            date: self.date,
            pace: Pace::new(self.fastest),
            chat: Chat::default(),
            looked: Instant::now(),
            stage,
            screen,
        };
        player.chat.read(player.stage).await?;
        player.chat.take_new();
        for (at, act) in &self.acts {
            player.run_to(from_ist(self.date, *at)).await?;
            player.act(act).await.with_context(|| format!("at {}", at.format("%H:%M")))?;
        }
        player.run_to(from_ist(self.date, hms(15, 46, 0))).await?;
        player.look().await
    }
}

struct Player<'a> {
    date: NaiveDate,
    pace: Pace,
    chat: Chat,
    looked: Instant,
    stage: &'a mut Stage,
    screen: &'a mut Screen,
}

impl Player<'_> {
    async fn run_to(&mut self, goal: Timestamp) -> anyhow::Result<()> {
        loop {
            let now = self.stage.conductor.now();
            if now >= goal {
                return Ok(());
            }
            let time = ist_time(now);
            let flowing = time >= FLOW.0 && time < FLOW.1;
            // The change of regime must not be leapt over.
            let next_regime = [FLOW.0, FLOW.1]
                .into_iter()
                .map(|edge| from_ist(self.date, edge))
                .find(|edge| *edge > now);
            let goal = next_regime.map_or(goal, |edge| edge.min(goal));
            self.pace.step(self.stage, goal, flowing).await?;
            if self.looked.elapsed() >= LOOK {
                self.look().await?;
            }
        }
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        self.looked = Instant::now();
        for service in self.stage.supervise()? {
            self.screen.stage(self.stage.conductor.now(), &format!("{service} starts again"));
        }
        self.chat.read(self.stage).await?;
        self.screen.records(&self.stage.data_dir())?;
        for message in self.chat.take_new() {
            self.screen.message(&message);
        }
        self.screen.clock(self.stage.conductor.now(), self.pace.shown());
        Ok(())
    }

    async fn act(&mut self, act: &Act) -> anyhow::Result<()> {
        match act {
            Act::LogIn => {
                self.wait(0, &["Log in"], "the login request").await?;
                self.screen.stage(self.stage.conductor.now(), "the operator logs in");
                operator::log_in(self.stage).await.context("could not log in")?;
                self.wait(0, &["Logged in"], "the word that the login was taken").await
            }
            Act::Expect(words, what) => self.wait(0, words, what).await,
            Act::Type(text, words) => {
                self.ease().await?;
                let mark = self.chat.mark();
                self.screen.typed(self.stage.conductor.now(), text);
                operator::type_text(self.stage, text).await?;
                self.wait(mark, words, &format!("an answer to {text}")).await
            }
            Act::Kill(service) => {
                let text = format!("kill -9 pivot-{}", service.as_str());
                self.screen.stage(self.stage.conductor.now(), &text);
                self.stage.kill(*service).await
            }
        }
    }

    /// Lets the clock run slowly for a moment.
    async fn ease(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + EASE;
        while Instant::now() < until {
            let horizon = self.stage.conductor.now() + TimeDelta::seconds(10);
            self.stage.conductor.run(WAITING, horizon)?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.look().await
    }

    /// Waits for a message, with the clock running slowly.
    async fn wait(&mut self, mark: usize, words: &[&str], what: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + MESSAGE_PATIENCE;
        loop {
            self.look().await?;
            if self.chat.says(mark, words) {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "{what} did not come");
            let horizon = self.stage.conductor.now() + TimeDelta::seconds(60);
            self.stage.conductor.run(WAITING, horizon)?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
