//! `pivotctl status`.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::data::{DataArgs, day_or_last, now};
use super::trades::{text, time_text, to_json};
use crate::config::{Config, HealthConfig};
use crate::engine::ledger::{Permission, StateRecord, TradeRecord};
use crate::health::{Detail, Level, show};
use crate::market::Timestamp;
use crate::market::time::{ist, ist_text};
use crate::store::figures::Figures;
use crate::store::lock::ServiceLock;
use crate::store::{BrokerSession, Heartbeat, Role, SessionStatus, Store};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pivotctl status\n  pivotctl status --data /var/lib/pivot --json"
)]
pub(super) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const SERVICES: [Role; 3] = [Role::Trading, Role::Auth, Role::Bot];

/// Pending rows are counted up to here.
const PENDING_SHOWN_MAX: u32 = 1_000;

struct Status {
    now: Timestamp,
    services: Vec<Service>,
    state: Option<StateRecord>,
    session: Option<BrokerSession>,
    open: Option<TradeRecord>,
    day: chrono::NaiveDate,
    figures: Figures,
    unanswered: usize,
    undelivered: usize,
    halted_by_file: bool,
    health: Option<(HealthConfig, Detail)>,
}

struct Service {
    name: &'static str,
    pid: Option<u32>,
    heartbeat: Option<Heartbeat>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let folder = args.data.folder()?;
    let store = args.data.reader()?;
    // A mistake in the configuration keeps nobody from seeing how things are.
    let config = Config::load(&args.data.config_path());
    let thresholds = config.map(|config| config.health).unwrap_or_default();
    let status = gather(&store, &folder, thresholds)?;
    if args.json {
        outln!("{}", status_json(&store, &status));
    } else {
        print(&store, &status);
    }
    Ok(ExitCode::SUCCESS)
}

fn gather(store: &Store, folder: &Path, thresholds: HealthConfig) -> anyhow::Result<Status> {
    let heartbeats = store.heartbeats()?;
    let services = SERVICES.map(|role| Service {
        name: role.as_str(),
        pid: ServiceLock::holder(folder, role.as_str()),
        heartbeat: heartbeats.iter().find(|beat| beat.service == role.as_str()).cloned(),
    });
    let day = day_or_last(store, None)?;
    let health = health(&heartbeats).map(|detail| (thresholds, detail));
    Ok(Status {
        now: now()?,
        services: services.into(),
        state: store.state()?,
        session: store.session_last()?,
        open: store.open_trade()?,
        day,
        figures: Figures::of(&store.trades(day, day)?),
        unanswered: store.inbox_unanswered(PENDING_SHOWN_MAX)?.len(),
        undelivered: store.outbox_pending(PENDING_SHOWN_MAX)?.len(),
        halted_by_file: folder.join("HALT").exists(),
        health,
    })
}

/// What the service that measured the machine last has found: pivot-bot or
/// pivot-auth.
fn health(heartbeats: &[Heartbeat]) -> Option<Detail> {
    let mut beats: Vec<&Heartbeat> = heartbeats.iter().collect();
    beats.sort_by_key(|beat| std::cmp::Reverse((beat.at, beat.service == "bot")));
    beats.into_iter().map(Detail::of).find(|detail| detail.machine.is_some())
}

fn print(store: &Store, status: &Status) {
    let line = |name: &str, text: String| outln!("{name:<11}{text}");
    let mode = store.mode().as_str().to_uppercase();
    line("mode", format!("{mode}, {} IST", ist(status.now).format("%Y-%m-%d %H:%M:%S")));
    line("trading", state_text(status.state.as_ref()));
    if status.halted_by_file {
        line("", "HALTED by the file HALT in the data folder".to_owned());
    }
    for service in &status.services {
        line(service.name, service_text(service, status.now));
    }
    if let Some((thresholds, detail)) = &status.health {
        line("machine", machine_text(thresholds, detail));
        for trouble in &detail.troubles {
            line("", format!("{}: {}", trouble.severity.as_str(), trouble.message));
        }
    }
    line("session", session_text(status.session.as_ref(), status.now));
    line("position", position_text(status.open.as_ref()));
    let figures = &status.figures;
    line(
        "day",
        format!(
            "{}: {} trades closed, {} won, net {} (gross {}, charges {})",
            status.day,
            figures.trades,
            figures.wins,
            figures.net().signed(),
            figures.gross.signed(),
            figures.charges.grouped(),
        ),
    );
    line("waiting", format!("{} requests, {} messages", status.unanswered, status.undelivered));
}

fn state_text(state: Option<&StateRecord>) -> String {
    let Some(state) = state else { return "never started".to_owned() };
    let word = match state.permission {
        Permission::Active => "ENABLED",
        Permission::Reducing => "exits only",
        Permission::Halted => "HALTED",
    };
    let since = ist(state.since).format("%Y-%m-%d %H:%M:%S");
    format!("{word} since {since} by {} ({})", state.actor, state.reason)
}

fn machine_text(thresholds: &HealthConfig, detail: &Detail) -> String {
    let machine = detail.machine.unwrap_or_default();
    let lines = show::machine(&machine, thresholds).into_iter().map(|(name, text, level)| {
        let mark = match level {
            Level::Ok => "",
            Level::Warning => " (WARNING)",
            Level::Critical => " (CRITICAL)",
        };
        format!("{name} {text}{mark}")
    });
    lines.collect::<Vec<_>>().join("; ")
}

fn service_text(service: &Service, now: Timestamp) -> String {
    let runs = match service.pid {
        Some(pid) => format!("runs (pid {pid})"),
        None => "does not run".to_owned(),
    };
    let Some(beat) = &service.heartbeat else { return format!("{runs}, no sign of life") };
    let silent = if service.pid.is_some() && beat.is_silent(now) { " SILENT" } else { "" };
    format!(
        "{runs}, {}, version {}, last sign {}{silent}",
        beat.phase,
        beat.version,
        age(now, beat.at)
    )
}

fn age(now: Timestamp, at: Timestamp) -> String {
    match (now - at).num_seconds() {
        ..0 => ist(at).format("%Y-%m-%d %H:%M:%S").to_string(),
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds @ 120..7_200 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3_600),
    }
}

fn session_text(session: Option<&BrokerSession>, now: Timestamp) -> String {
    let Some(session) = session else { return "never logged in".to_owned() };
    let until = ist(session.valid_until).format("%Y-%m-%d %H:%M");
    match session.status {
        SessionStatus::Valid if session.valid_until > now => {
            format!("{} {}, valid until {until}", session.user_id, session.user_name)
        }
        SessionStatus::Valid | SessionStatus::Ended => format!("over (was valid until {until})"),
        SessionStatus::Refused => {
            format!("refused: {}", session.message.as_deref().unwrap_or("no reason given"))
        }
    }
}

fn position_text(open: Option<&TradeRecord>) -> String {
    let Some(trade) = open else { return "none".to_owned() };
    let entry = trade.entry_value.per_unit(trade.quantity);
    format!(
        "{} {} × {} at {} since {}, stop {}, target {}",
        trade.trade_id,
        trade.contract,
        trade.quantity - trade.closed_quantity,
        entry.map_or_else(|| "-".to_owned(), |price| price.to_string()),
        time_text(trade.entered_at),
        trade.stop,
        trade.target,
    )
}

fn status_json(store: &Store, status: &Status) -> Value {
    let services: Vec<Value> = status
        .services
        .iter()
        .map(|service| {
            let beat = service.heartbeat.as_ref();
            json!({
                "service": service.name,
                "pid": service.pid,
                "running": service.pid.is_some(),
                "last_sign": beat.map(|beat| ist_text(beat.at)),
                "age_s": beat.map(|beat| (status.now - beat.at).num_seconds()),
                "phase": beat.map(|beat| &beat.phase),
                "version": beat.map(|beat| &beat.version),
                "detail": beat.map(|beat| &beat.detail),
            })
        })
        .collect();
    let session = status.session.as_ref().map(|session| {
        json!({
            "status": session.status.as_str(),
            "user_id": session.user_id,
            "valid_until": ist_text(session.valid_until),
            "valid": session.status == SessionStatus::Valid && session.valid_until > status.now,
        })
    });
    let state = status.state.as_ref().map(|state| {
        json!({
            "permission": state.permission.as_str(),
            "reason": state.reason,
            "actor": state.actor,
            "since": ist_text(state.since),
        })
    });
    json!({
        "now": ist_text(status.now),
        "mode": store.mode().as_str(),
        "state": state,
        "halted_by_file": status.halted_by_file,
        "services": services,
        "machine": status.health.as_ref().map(|(_, detail)| detail.machine),
        "troubles": status.health.as_ref().map(|(_, detail)| &detail.troubles),
        "session": session,
        "position": status.open.as_ref().map(to_json),
        "day": {
            "date": status.day,
            "trades": status.figures.trades,
            "wins": status.figures.wins,
            "gross": text(Some(status.figures.gross)),
            "charges": text(Some(status.figures.charges)),
            "net": text(Some(status.figures.net())),
        },
        "waiting": { "requests": status.unanswered, "messages": status.undelivered },
    })
}
