//! Clock, calendar, port, disk, and whether the servers answer.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Days, TimeDelta, Utc};
use rustix::fs::statvfs;
use secrecy::ExposeSecret as _;

use super::{Finding, Level, Patient};
use crate::clock::real_now;
use crate::market::calendar::Coverage;
use crate::market::time::ist_date;
use crate::store::lock::ServiceLock;
use crate::trading::SKEW_MAX;

/// What systemd's time service and its kin leave when the clock is set.
const SYNCHRONIZED: [&str; 3] =
    ["/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid", "/run/ntpd.pid"];

/// Days ahead that the calendar must cover.
const DAYS_AHEAD: u64 = 30;

const ASK_WITHIN: Duration = Duration::from_secs(8);

const DISK_WARNING_PCT: u64 = 80;
const DISK_ERROR_PCT: u64 = 90;

/// Whether something keeps the clock right.
pub(super) fn clock(patient: &Patient) -> Finding {
    if patient.clock.is_scaled() {
        return Finding::ok("clock", "time runs by a conductor");
    }
    match SYNCHRONIZED.iter().find(|path| Path::new(path).exists()) {
        Some(path) => Finding::ok("clock", format!("kept right ({path})")),
        None => Finding::bad(
            "clock",
            Level::Warning,
            "nothing is known to keep this machine's clock right",
            "timedatectl set-ntp true, or install chrony; --online compares with the broker",
        ),
    }
}

/// Compares the clock with the broker's `Date` header.
pub(super) fn clock_against_broker(patient: &Patient) -> anyhow::Result<Finding> {
    let name = "broker clock";
    let url = &patient.config.kite.base_url;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let http = reqwest::Client::builder().timeout(ASK_WITHIN).build()?;
    let answer = runtime.block_on(async { http.get(url).send().await });
    let date = match answer {
        Ok(answer) => answer
            .headers()
            .get(reqwest::header::DATE)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| DateTime::parse_from_rfc2822(text).ok()),
        Err(error) => {
            let text = format!("{url} does not answer: {}", super::in_full(&error.without_url()));
            let remedy = "check the network, and kite.base_url";
            return Ok(Finding::bad(name, Level::Error, text, remedy));
        }
    };
    let Some(date) = date else {
        let remedy = "check kite.base_url";
        return Ok(Finding::bad(name, Level::Warning, format!("{url} tells no time"), remedy));
    };
    if patient.clock.is_scaled() {
        return Ok(Finding::ok(name, format!("{url} answers; time runs by a conductor")));
    }
    let ahead = real_now() - (date.with_timezone(&Utc) + TimeDelta::milliseconds(500));
    let text = format!("{:+.1} s against {url}", ahead.as_seconds_f64());
    if ahead.abs() <= SKEW_MAX {
        return Ok(Finding::ok(name, text));
    }
    let text = format!("{text}: nothing is entered beyond {} s", SKEW_MAX.num_seconds());
    Ok(Finding::bad(name, Level::Error, text, "set the clock: timedatectl set-ntp true"))
}

/// Asks Telegram who the bot is.
pub(super) fn telegram(patient: &Patient) -> anyhow::Result<Finding> {
    let name = "telegram bot";
    let token = patient.config.telegram_token.expose_secret();
    let api = patient.config.telegram.api_url.trim_end_matches('/');
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let http = reqwest::Client::builder().timeout(ASK_WITHIN).build()?;
    let asked = runtime.block_on(async {
        let answer = http.get(format!("{api}/bot{token}/getMe")).send().await?;
        let status = answer.status();
        Ok::<_, reqwest::Error>((status, answer.bytes().await?))
    });
    // The address contains the token.
    let (status, body) = match asked.map_err(reqwest::Error::without_url) {
        Ok(answered) => answered,
        Err(error) => {
            let text = format!("{api} does not answer: {}", super::in_full(&error));
            let remedy = "check the network; pivotctl panic works without Telegram";
            return Ok(Finding::bad(name, Level::Error, text, remedy));
        }
    };
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    match body.pointer("/result/username").and_then(serde_json::Value::as_str) {
        Some(bot) if status.is_success() => Ok(Finding::ok(name, format!("@{bot} answers"))),
        Some(_) | None => {
            let text = format!("{api} answers {status}: it does not know the bot");
            let remedy = "copy telegram_token from @BotFather again";
            Ok(Finding::bad(name, Level::Error, text, remedy))
        }
    }
}

/// Whether the calendar reaches far enough.
pub(super) fn calendar(patient: &Patient) -> Finding {
    let calendar = patient.config.calendar();
    let today = ist_date(patient.clock.now());
    let last = today.checked_add_days(Days::new(DAYS_AHEAD)).unwrap_or(today);
    let worst = [today, last].map(|day| calendar.coverage(day));
    let remedy = "install a newer version, or add the exchanges' list to market.extra_holidays";
    if worst.contains(&Coverage::None) {
        let text = format!("it does not cover {today} to {last}: no trading on unknown days");
        return Finding::bad("calendar", Level::Error, text, remedy);
    }
    if worst.contains(&Coverage::Partial) {
        let text = format!("of {today} to {last} only holidays of fixed dates are known");
        return Finding::bad("calendar", Level::Warning, text, remedy);
    }
    Finding::ok("calendar", format!("covers {today} to {last}"))
}

/// Whether the web service has its address, or could have it.
pub(super) fn port(patient: &Patient) -> Finding {
    let listen = &patient.config.auth.listen;
    if let Some(pid) = ServiceLock::holder(&patient.folder, "auth") {
        return Finding::ok("port", format!("{listen} belongs to pivot-auth (pid {pid})"));
    }
    let address: Option<SocketAddr> = listen.parse().ok();
    let local = address.is_some_and(|address| address.ip().is_loopback());
    match TcpListener::bind(listen.as_str()) {
        Ok(_) if local => Finding::ok("port", format!("{listen} is free")),
        Ok(_) => Finding::bad(
            "port",
            Level::Warning,
            format!("{listen} can be reached from other machines"),
            "set auth.listen to 127.0.0.1:8001 and put nginx in front",
        ),
        Err(error) => Finding::bad(
            "port",
            Level::Error,
            format!("{listen} cannot be had: {error}"),
            "see who has it with ss -ltnp, or set auth.listen",
        ),
    }
}

/// Room on the disks of data and logs.
pub(super) fn disk(patient: &Patient) -> Vec<Finding> {
    let logs = Path::new(&patient.config.data.log_dir);
    vec![room("disk of data", &patient.folder), room("disk of logs", logs)]
}

fn room(name: &'static str, folder: &Path) -> Finding {
    // A folder that is to be made takes the room of the one it will be in.
    let there = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let system = match statvfs(there) {
        Ok(system) => system,
        Err(error) => {
            let text = format!("the room for {} is unknown: {error}", folder.display());
            return Finding::bad(name, Level::Warning, text, "look with df -h");
        }
    };
    let taken = system.f_blocks.saturating_sub(system.f_bfree);
    let usable = taken + system.f_bavail;
    let taken_pct = (taken * 100).div_ceil(usable.max(1));
    let free_mb = system.f_bavail.saturating_mul(system.f_frsize) / 1_000_000;
    let text = format!("{taken_pct} % taken, {free_mb} MB free for {}", folder.display());
    let level = match taken_pct {
        DISK_ERROR_PCT.. => Level::Error,
        DISK_WARNING_PCT.. => Level::Warning,
        _ => return Finding::ok(name, text),
    };
    Finding::bad(name, level, text, "make room: old logs first; never files of the data folder")
}
