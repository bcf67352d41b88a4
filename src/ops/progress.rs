//! A progress bar for what takes longer than a moment: on a terminal only,
//! and on standard error, so that what is printed stays clean.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is done before this is over needs no bar.
const SHOW_AFTER: Duration = Duration::from_secs(1);

/// Pace of what only turns.
const TICK: Duration = Duration::from_millis(150);

/// `copying   ███░░░ 42%`
const STYLE: &str = "{msg:10} {bar:40} {percent:>3}% {elapsed}";

/// Shows how far something is, once it takes long. Gone when dropped.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    began: Instant,
}

impl Progress {
    /// For people: silent without a terminal, or when `json` is printed.
    pub(super) fn new(json: bool) -> Progress {
        let shown = !json && std::io::stderr().is_terminal();
        let bar = shown.then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
            ProgressStyle::with_template(STYLE).map_or(bar.clone(), |style| bar.with_style(style))
        });
        Progress { bar, began: Instant::now() }
    }

    /// For something that does not tell how far it is.
    pub(super) fn busy(json: bool, what: &'static str) -> Progress {
        let progress = Progress::new(json);
        if let Some(bar) = progress.bar.clone() {
            bar.set_style(ProgressStyle::default_spinner());
            bar.set_message(what);
            std::thread::spawn(move || {
                std::thread::sleep(SHOW_AFTER);
                // One that is finished draws nothing any more.
                if !bar.is_finished() {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                    bar.enable_steady_tick(TICK);
                }
            });
        }
        progress
    }

    /// `done` of `total` of `what` is done.
    pub(super) fn show(&mut self, what: &'static str, done: u64, total: u64) {
        let Some(bar) = &self.bar else { return };
        if bar.is_hidden() && self.began.elapsed() >= SHOW_AFTER {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        if bar.message() != what {
            bar.set_message(what);
        }
        bar.set_length(total);
        bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
