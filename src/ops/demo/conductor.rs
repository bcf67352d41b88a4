//! How fast the day runs: hundreds of times real speed while nothing is in
//! flight, slowly while an order works, never ahead of the services.

use chrono::TimeDelta;

use super::stage::Stage;
use crate::clock::Conductor;
use crate::market::Timestamp;

/// Market time that the clock may run ahead of the slowest process while
/// prices flow.
const LEAD: TimeDelta = TimeDelta::seconds(2);

/// Pace while an order works or a message is awaited.
const SLOW: f64 = 20.0;

/// Real time after which a process that reports no progress is not waited
/// for any longer.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(400);

/// How often progress is looked at, in real time.
const LOOK: std::time::Duration = std::time::Duration::from_micros(200);

/// Drives the clock towards a goal in small steps.
#[derive(Debug)]
pub(super) struct Pace {
    fastest: f64,
    behind: Option<(Timestamp, std::time::Instant)>,
    shown: f64,
}

impl Pace {
    pub(super) fn new(fastest: f64) -> Pace {
        Pace { fastest, behind: None, shown: 1.0 }
    }

    /// The present multiple of real time, for show.
    pub(super) const fn shown(&self) -> f64 {
        self.shown
    }

    /// Moves the horizon a step towards `goal`. `flowing` is true while
    /// prices flow and the processes must keep up.
    pub(super) async fn step(
        &mut self,
        stage: &mut Stage,
        goal: Timestamp,
        flowing: bool,
    ) -> anyhow::Result<()> {
        let trading = stage.conductor.progress("trading");
        let busy = stage.is_recovering() || trading.is_some_and(|(_, busy)| busy);
        let horizon = if flowing { self.held_back(&stage.conductor, goal) } else { goal };
        let speed = if busy { SLOW } else { self.fastest };
        self.shown = speed;
        stage.conductor.run(speed, horizon.min(goal))?;
        crate::clock::pause(LOOK).await;
        Ok(())
    }

    /// Where the clock may go: not further ahead of the slowest process than
    /// the lead, unless that process has stopped to report.
    fn held_back(&mut self, conductor: &Conductor, goal: Timestamp) -> Timestamp {
        let now = conductor.now();
        let slowest = ["sim", "trading"]
            .into_iter()
            .filter_map(|process| conductor.progress(process))
            .map(|(progress, _)| progress)
            .min();
        let Some(slowest) = slowest else { return goal };
        let waiting = slowest + LEAD <= now;
        match self.behind {
            Some((stuck, since)) if waiting && stuck == slowest => {
                if since.elapsed() > PATIENCE {
                    now + LEAD
                } else {
                    slowest + LEAD
                }
            }
            _ => {
                self.behind = waiting.then(|| (slowest, std::time::Instant::now()));
                slowest + LEAD
            }
        }
    }
}
