//! The database and what the services left in it.

use super::{Finding, Level, Patient, in_full};
use crate::engine::settings::Schedule;
use crate::market::time::{hms, ist};
use crate::store::lock::ServiceLock;
use crate::store::{Heartbeat, Role, SQLITE_VERSION_MIN, Store, StoreError};

const SERVICES: [Role; 3] = [Role::Trading, Role::Auth, Role::Bot];

/// Lines of what is wrong with a database.
const FAULTS_SHOWN: usize = 4;

/// Everything that needs the database, and the services that share it.
pub(super) fn examine(patient: &Patient) -> Vec<Finding> {
    let mut findings = vec![sqlite()];
    let store = match Store::open_existing(&patient.folder, Role::Reader) {
        Ok(store) => store,
        Err(error) => {
            findings.push(unopened(&error));
            findings.extend(SERVICES.map(|role| service(patient, role, &[])));
            return findings;
        }
    };
    findings.push(opened(patient, &store));
    findings.push(sound(&store));
    let beats = store.heartbeats().unwrap_or_default();
    findings.extend(SERVICES.map(|role| service(patient, role, &beats)));
    findings.push(session(patient, &store));
    findings
}

fn sqlite() -> Finding {
    let (found, text) = (rusqlite::version_number(), rusqlite::version());
    if found >= SQLITE_VERSION_MIN {
        return Finding::ok("sqlite", format!("SQLite {text}, built in"));
    }
    let text = format!("SQLite {text} may damage a file that processes share");
    Finding::bad("sqlite", Level::Error, text, "build with the bundled SQLite, 3.51.3 or newer")
}

fn unopened(error: &StoreError) -> Finding {
    let (level, remedy) = match error {
        StoreError::NotThere { .. } => {
            (Level::Warning, "the first service to start makes it; if one ran, check data.dir")
        }
        StoreError::SchemaOlder { .. } => (Level::Error, "restart the services"),
        StoreError::SchemaNewer { .. } => {
            (Level::Error, "install the programs of the build that wrote it")
        }
        // Damage may look like this as well.
        StoreError::MigrationDiffers { .. } => (
            Level::Error,
            "install the programs of the build that wrote it; else restore the last backup",
        ),
        StoreError::NoWal { .. } => (Level::Error, "put data.dir on a local disk"),
        StoreError::PrepareFolder { .. }
        | StoreError::SharedFolder { .. }
        | StoreError::Open { .. }
        | StoreError::SqliteTooOld { .. }
        | StoreError::Migrate { .. }
        | StoreError::OtherMode { .. }
        | StoreError::ModeMissing { .. }
        | StoreError::NotTheWriter { .. }
        | StoreError::Read { .. }
        | StoreError::Write { .. } => {
            (Level::Error, "run this as the user of the services; else restore the last backup")
        }
    };
    Finding::bad("database", level, in_full(error), remedy)
}

fn opened(patient: &Patient, store: &Store) -> Finding {
    let schema = crate::store::SCHEMA_VERSION;
    let mode = store.mode();
    let text = format!("{}: schema {schema}, {} mode", store.path().display(), mode.as_str());
    if mode == patient.mode || !patient.configured {
        return Finding::ok("database", text);
    }
    let text = format!("{text}, but the configuration says {}", patient.mode.as_str());
    Finding::bad("database", Level::Error, text, "give each mode a data.dir of its own")
}

fn sound(store: &Store) -> Finding {
    let remedy = "stop the services, keep a copy of the data folder, restore the last backup";
    match store.integrity() {
        Ok(faults) if faults.is_empty() => Finding::ok("integrity", "the database is sound"),
        Ok(faults) => {
            // One fault may be many lines.
            let lines: Vec<&str> = faults.iter().flat_map(|fault| fault.lines()).collect();
            let more = lines.len().saturating_sub(FAULTS_SHOWN);
            let first = lines.iter().take(FAULTS_SHOWN).copied().collect::<Vec<_>>().join("; ");
            let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
            Finding::bad("integrity", Level::Error, format!("{first}{rest}"), remedy)
        }
        Err(error) => Finding::bad("integrity", Level::Error, in_full(&error), remedy),
    }
}

fn service(patient: &Patient, role: Role, beats: &[Heartbeat]) -> Finding {
    let name = match role {
        Role::Trading => "pivot-trading",
        Role::Auth => "pivot-auth",
        Role::Bot => "pivot-bot",
        Role::Ctl | Role::Reader => "pivotctl",
    };
    let beat = beats.iter().find(|beat| beat.service == role.as_str());
    let age_s = beat.map(|beat| (patient.clock.now() - beat.at).num_seconds().max(0));
    let Some(pid) = ServiceLock::holder(&patient.folder, role.as_str()) else {
        let text = match age_s {
            Some(age_s) => format!("does not run; its last sign of life is {age_s} s old"),
            None => "does not run and never did".to_string(),
        };
        return Finding::bad(name, Level::Warning, text, format!("systemctl start {name}"));
    };
    let remedy = format!("journalctl -u {name} -n 50; systemctl restart {name}");
    match (beat, age_s) {
        (Some(beat), Some(age_s)) if !beat.is_silent(patient.clock.now()) => Finding::ok(
            name,
            format!("runs (pid {pid}), {}, version {}, {age_s} s ago", beat.phase, beat.version),
        ),
        (Some(_), Some(age_s)) => {
            let text = format!("runs (pid {pid}) but gave no sign of life for {age_s} s");
            Finding::bad(name, Level::Error, text, remedy)
        }
        (_, _) => {
            let text = format!("runs (pid {pid}) but never gave a sign of life");
            Finding::bad(name, Level::Error, text, remedy)
        }
    }
}

fn session(patient: &Patient, store: &Store) -> Finding {
    let name = "broker session";
    let now = patient.clock.now();
    match store.session(now) {
        Ok(Some(session)) => {
            let until = ist(session.valid_until).format("%a %H:%M");
            Finding::ok(name, format!("{} until {until} IST", session.user_id))
        }
        Ok(None) => {
            let local = ist(now);
            let trades = patient.config.calendar().day(local.date()).is_regular();
            if !trades || local.time() < hms(8, 0, 0) || local.time() >= Schedule::USUAL.day_close {
                return Finding::ok(name, "none, and none is needed now");
            }
            let remedy = "open the login link of the last message, or GET /login on this machine";
            Finding::bad(name, Level::Warning, "nobody is logged in today", remedy)
        }
        Err(error) => {
            Finding::bad(name, Level::Error, in_full(&error), "see the line on the database")
        }
    }
}
