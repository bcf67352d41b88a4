//! Everything as Prometheus wants it: made anew for each request, out of the
//! database and the samples of this process, so that nothing is remembered
//! that no longer is.

use prometheus::{CounterVec, Encoder as _, GaugeVec, Opts, Registry, TextEncoder};

use super::alarm::Trouble;
use super::board::Board;
use super::judge::Detail;
use super::sample::Sample;
use crate::market::{Money, Timestamp};
use crate::store::Heartbeat;

/// The type of the text, for the HTTP header.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Why the text could not be made.
#[derive(Debug, thiserror::Error)]
#[error("could not write the metrics down")]
pub struct MetricsError(#[from] prometheus::Error);

/// What the text is made from.
pub struct Scene<'a> {
    /// The day's figures.
    pub board: &'a Board,
    /// The last sample of this process.
    pub sample: Option<Sample>,
    /// What is bad now.
    pub troubles: &'a [Trouble],
    /// Backups and the like.
    pub jobs: &'a [Job],
    /// Whether a service is silent.
    pub is_silent: &'a dyn Fn(&Heartbeat) -> bool,
}

/// Work that is done by day and week.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// Its name.
    pub name: &'static str,
    /// When it was last done.
    pub done_at: Option<Timestamp>,
    /// True when it failed or is late.
    pub trouble: bool,
}

/// The text.
///
/// # Errors
/// When a name or a value is none that Prometheus takes.
pub fn text(scene: &Scene<'_>) -> Result<String, MetricsError> {
    let page = Page { registry: Registry::new() };
    let board = scene.board;
    let mode = [([board.mode, env!("CARGO_PKG_VERSION")], 1.0)];
    page.gauges("pivot_info", "Mode and version; always 1.", ["mode", "version"], mode)?;
    services(&page, scene)?;
    logs(&page, board)?;
    if let Some(sample) = &scene.sample {
        machine(&page, sample)?;
    }
    session(&page, board)?;
    trading(&page, board)?;
    let done = scene.jobs.iter().filter_map(|job| Some((job.name, job.done_at?)));
    let done = done.map(|(name, at)| ([name], at.timestamp() as f64));
    let help = "When it was last done, since 1970, in UTC.";
    page.gauges("pivot_job_done_time_seconds", help, ["job"], done)?;
    let trouble = scene.jobs.iter().map(|job| ([job.name], f64::from(u8::from(job.trouble))));
    page.gauges("pivot_job_trouble", "1 when it failed or is late.", ["job"], trouble)?;
    let troubles = scene.troubles.iter();
    let troubles =
        troubles.map(|trouble| ([trouble.name.as_str(), trouble.severity.as_str()], 1.0));
    let help = "What is not well now, see docs/OPERATIONS.md; 1 for each.";
    page.gauges("pivot_trouble", help, ["name", "severity"], troubles)?;
    let worst = scene.troubles.iter().map(|trouble| trouble.severity).max().unwrap_or_default();
    let worst = f64::from(worst as u8);
    page.gauge("pivot_health_level", "0 ok, 1 a warning, 2 something critical.", worst)?;
    page.text()
}

struct Page {
    registry: Registry,
}

impl Page {
    fn gauges<'a, const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        rows: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) -> Result<(), MetricsError> {
        let family = GaugeVec::new(Opts::new(name, help), &labels)?;
        for (values, value) in rows {
            family.get_metric_with_label_values(&values)?.set(value);
        }
        Ok(self.registry.register(Box::new(family))?)
    }

    fn gauge(
        &self,
        name: &str,
        help: &str,
        value: impl Into<Option<f64>>,
    ) -> Result<(), MetricsError> {
        self.gauges(name, help, [], value.into().map(|value| ([], value)))
    }

    fn counters<'a, const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        rows: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) -> Result<(), MetricsError> {
        let family = CounterVec::new(Opts::new(name, help), &labels)?;
        for (values, value) in rows {
            family.get_metric_with_label_values(&values)?.inc_by(value.max(0.0));
        }
        Ok(self.registry.register(Box::new(family))?)
    }

    fn text(&self) -> Result<String, MetricsError> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn services(page: &Page, scene: &Scene<'_>) -> Result<(), MetricsError> {
    let (board, label) = (scene.board, ["service"]);
    let details: Vec<(&str, Detail)> = details(board);
    let beats = || board.beats.iter();
    let up = |beat: &Heartbeat| f64::from(u8::from(!(scene.is_silent)(beat)));
    let rows = beats().map(|beat| ([beat.service.as_str()], up(beat)));
    page.gauges("pivot_service_up", "1 while it gives signs of life.", label, rows)?;
    let age = |beat: &Heartbeat| seconds(board.at - beat.at).max(0.0);
    let rows = beats().map(|beat| ([beat.service.as_str()], age(beat)));
    let help = "Age of its last sign of life.";
    page.gauges("pivot_service_heartbeat_age_seconds", help, label, rows)?;
    let started = |beat: &Heartbeat| beat.started_at.timestamp() as f64;
    let rows = beats().map(|beat| ([beat.service.as_str()], started(beat)));
    let help = "When it started, since 1970, in UTC.";
    page.gauges("pivot_service_start_time_seconds", help, label, rows)?;
    let of = |value: fn(&super::Process) -> f64| {
        let rows = details.iter().filter_map(move |(service, detail)| {
            detail.process.as_ref().map(|process| ([*service], value(process)))
        });
        rows.collect::<Vec<_>>()
    };
    page.counters(
        "pivot_process_cpu_seconds_total",
        "Processor time since it started.",
        label,
        of(|process| process.cpu_s),
    )?;
    page.gauges(
        "pivot_process_resident_memory_bytes",
        "Its memory.",
        label,
        of(|process| process.rss_bytes as f64),
    )?;
    page.gauges(
        "pivot_process_threads",
        "Its threads.",
        label,
        of(|process| process.threads as f64),
    )?;
    page.gauges(
        "pivot_process_open_fds",
        "Its open file descriptors.",
        label,
        of(|process| process.fds as f64),
    )?;
    page.gauges(
        "pivot_process_max_fds",
        "File descriptors that it may have.",
        label,
        of(|process| process.fds_max as f64),
    )
}

fn details(board: &Board) -> Vec<(&str, Detail)> {
    board.beats.iter().map(|beat| (beat.service.as_str(), Detail::of(beat))).collect()
}

fn logs(page: &Page, board: &Board) -> Result<(), MetricsError> {
    let (details, label) = (details(board), ["service"]);
    let of = |value: fn(&super::LogFigures) -> f64| {
        let rows = details.iter().filter_map(move |(service, detail)| {
            detail.log.as_ref().map(|log| ([*service], value(log)))
        });
        rows.collect::<Vec<_>>()
    };
    let queued = of(|log| log.queued as f64);
    page.gauges("pivot_log_queue_lines", "Lines that wait to be written.", label, queued)?;
    for (name, help, rows) in [
        ("pivot_log_written_total", "Lines written.", of(|log| log.written as f64)),
        ("pivot_log_sampled_total", "Lines summed up instead.", of(|log| log.sampled as f64)),
        ("pivot_log_dropped_total", "Lines lost.", of(|log| log.dropped as f64)),
        (
            "pivot_log_records_pruned_total",
            "Log records deleted early, for want of room.",
            of(|log| log.rows_pruned as f64),
        ),
        ("pivot_log_errors_total", "Lines of level ERROR.", of(|log| log.errors as f64)),
        ("pivot_log_warnings_total", "Lines of level WARN.", of(|log| log.warnings as f64)),
    ] {
        page.counters(name, help, label, rows)?;
    }
    let failing = of(|log| f64::from(u8::from(log.failing_since.is_some())));
    page.gauges("pivot_log_failing", "1 while log files cannot be written.", label, failing)?;
    let failing = of(|log| f64::from(u8::from(log.database_failing_since.is_some())));
    let help = "1 while the log database cannot be written.";
    page.gauges("pivot_log_database_failing", help, label, failing)
}

fn machine(page: &Page, sample: &Sample) -> Result<(), MetricsError> {
    let Some(machine) = &sample.machine else { return Ok(()) };
    let cpu = machine.cpu_pct / 100.0;
    page.gauge("pivot_machine_cpu_ratio", "Load of all processors, from 0 to 1.", cpu)?;
    let memory = machine.memory_pct / 100.0;
    page.gauge("pivot_machine_memory_ratio", "Memory in use, from 0 to 1.", memory)?;
    let bytes = machine.memory_bytes as f64;
    page.gauge("pivot_machine_memory_bytes", "Memory in all.", bytes)?;
    let used =
        [(["data"], machine.data_disk_pct / 100.0), (["logs"], machine.log_disk_pct / 100.0)];
    page.gauges("pivot_disk_used_ratio", "Use of the folder's disk.", ["folder"], used)?;
    let free = [
        (["data"], machine.data_disk_free_bytes as f64),
        (["logs"], machine.log_disk_free_bytes as f64),
    ];
    page.gauges("pivot_disk_free_bytes", "Free on the folder's disk.", ["folder"], free)?;
    for (name, help, bytes) in [
        ("pivot_log_folder_bytes", "All log files.", machine.log_bytes),
        ("pivot_database_bytes", "The database.", machine.database_bytes),
        ("pivot_database_wal_bytes", "Its write-ahead log.", machine.wal_bytes),
        (
            "pivot_log_database_bytes",
            "The log records' database and its archive.",
            machine.log_database_bytes,
        ),
    ] {
        page.gauge(name, help, bytes as f64)?;
    }
    Ok(())
}

fn session(page: &Page, board: &Board) -> Result<(), MetricsError> {
    let session = board.session.as_ref();
    let valid = f64::from(u8::from(session.is_some()));
    page.gauge("pivot_session_valid", "1 while somebody is logged in at the broker.", valid)?;
    let left = session.map(|session| seconds(session.until - board.at));
    page.gauge("pivot_session_remaining_seconds", "Until the session ends.", left)?;
    let age = session.map(|session| seconds(board.at - session.since));
    page.gauge("pivot_session_age_seconds", "Since the session was made.", age)?;
    let offset = board.feed.clock_offset_ms.map(|offset| offset as f64 / 1_000.0);
    let help = "How far our clock is ahead of the broker's.";
    page.gauge("pivot_clock_offset_seconds", help, offset)
}

fn trading(page: &Page, board: &Board) -> Result<(), MetricsError> {
    let state = board.permission.as_ref().map(|permission| permission.state);
    let states = ["ACTIVE", "REDUCING", "HALTED"];
    let rows = states.map(|name| ([name], f64::from(u8::from(state == Some(name)))));
    page.gauges("pivot_permission", "1 for what is allowed now.", ["state"], rows)?;
    let feed = board.feed.state.as_deref().map(|state| f64::from(u8::from(state == "up")));
    page.gauge("pivot_feed_up", "1 while the feed of prices is connected.", feed)?;
    let age = board.feed.last_price_at.map(|at| seconds(board.at - at).max(0.0));
    page.gauge("pivot_last_price_age_seconds", "Age of the last price.", age)?;
    let today = &board.today;
    for (name, help, value) in [
        ("pivot_today_trades", "Trades of today with a fill.", today.trades as f64),
        ("pivot_today_wins", "Closed trades of today that won.", f64::from(today.wins)),
        ("pivot_today_losses", "Closed trades of today that lost.", f64::from(today.losses)),
        (
            "pivot_today_consecutive_losses",
            "Losing trades in a row.",
            f64::from(today.consecutive_losses),
        ),
    ] {
        page.gauge(name, help, value)?;
    }
    for (name, help, text) in [
        ("pivot_today_gross_rupees", "Before charges, of closed trades.", &today.gross),
        ("pivot_today_charges_rupees", "Charges of closed trades.", &today.charges),
        ("pivot_today_net_rupees", "After charges, of closed trades.", &today.net),
    ] {
        page.gauge(name, help, rupees(text))?;
    }
    let loss = board.limits.daily_loss.as_ref();
    let used = loss.map(|loss| amount(loss.used.0));
    page.gauge("pivot_daily_loss_rupees", "Loss of the day, open trade included.", used)?;
    let limit = loss.map(|loss| amount(loss.limit.0));
    page.gauge("pivot_daily_loss_limit_rupees", "The day's loss limit.", limit)?;
    let held = board.position.as_ref();
    let quantity = held.map_or(0.0, |held| held.quantity as f64);
    page.gauge("pivot_position_quantity", "Units held.", quantity)?;
    let net = match held {
        None => Some(0.0),
        Some(held) => held.net.as_deref().and_then(rupees),
    };
    page.gauge("pivot_position_net_rupees", "What leaving now would bring.", net)?;
    let verdicts = ["ENTER", "REJECTED", "QUIET"];
    let count = |verdict: &str| f64::from(board.decisions.get(verdict).copied().unwrap_or(0));
    let rows = verdicts.map(|verdict| ([verdict], count(verdict)));
    page.gauges("pivot_today_candles", "Candles judged today.", ["verdict"], rows)?;
    let orders = board.orders.by_status.iter().map(|(status, count)| ([*status], *count as f64));
    page.gauges("pivot_today_orders", "Orders of today.", ["status"], orders)?;
    let messages = board.orders.messages.map(|messages| messages as f64);
    let help = "Orders placed, changed and cancelled today.";
    page.gauge("pivot_today_order_messages", help, messages)?;
    let trip = board.orders.round_trip_ms.map(|trip| trip as f64 / 1_000.0);
    let help = "How long the broker took to answer the last order call.";
    page.gauge("pivot_order_round_trip_seconds", help, trip)?;
    let waiting = &board.waiting;
    let outbox = f64::from(waiting.outbox);
    page.gauge("pivot_outbox_waiting", "Messages that have not arrived.", outbox)?;
    let oldest = waiting.outbox_oldest.map_or(0.0, |at| seconds(board.at - at).max(0.0));
    page.gauge("pivot_outbox_oldest_seconds", "Age of the oldest of them.", oldest)?;
    let inbox = waiting.inbox as f64;
    page.gauge("pivot_inbox_waiting", "Requests without an answer.", inbox)
}

fn seconds(span: chrono::TimeDelta) -> f64 {
    span.num_milliseconds() as f64 / 1_000.0
}

fn rupees(text: &str) -> Option<f64> {
    text.parse::<Money>().ok().map(amount)
}

fn amount(money: Money) -> f64 {
    money.paise() as f64 / 100.0
}
