//! `pivotctl enable`, `disable` and `panic`: requests to pivot-trading, and
//! its answers.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;

use super::data::{DataArgs, now};
use crate::engine::event::OperatorAction;
use crate::market::Timestamp;
use crate::store::lock::ServiceLock;
use crate::store::{Answer, Ask, AuditEntry, Request, Role, Source, Store};

/// How long an answer is waited for, in real time.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// How often an answer is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pivotctl enable --confirm")]
pub(super) struct EnableArgs {
    /// Also after a panic or a risk stop, whose reason you have seen.
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pivotctl disable")]
pub(super) struct DisableArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl panic\n  pivotctl panic --all")]
pub(super) struct PanicArgs {
    /// Also positions that were opened by hand in this account.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    data: DataArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What became of a request.
enum Reply {
    Answered(Answer),
    /// Nobody answered; the holder of the trading lock, when there is one.
    Silent(Option<u32>),
}

pub(super) fn enable(args: EnableArgs) -> anyhow::Result<ExitCode> {
    let action = OperatorAction::Enable { confirmed: args.confirm };
    let reply = ask(&args.common, "enable", action)?;
    Ok(report(&args.common, reply, "a request to enable that is found late is not carried out"))
}

pub(super) fn disable(args: DisableArgs) -> anyhow::Result<ExitCode> {
    let reply = ask(&args.common, "disable", OperatorAction::Disable)?;
    Ok(report(&args.common, reply, "the request is carried out when pivot-trading runs again"))
}

pub(super) fn panic(args: PanicArgs) -> anyhow::Result<ExitCode> {
    let reply = ask(&args.common, "panic", OperatorAction::Panic { all: args.all })?;
    match reply {
        Reply::Answered(_) => Ok(report(&args.common, reply, "")),
        Reply::Silent(holder) => {
            flatten_without_service(&args.common.data.folder()?, args.all, holder)
        }
    }
}

/// Flattens in place of a pivot-trading that does not answer.
fn flatten_without_service(
    folder: &Path,
    all: bool,
    holder: Option<u32>,
) -> anyhow::Result<ExitCode> {
    let scope = if all { "all positions" } else { "the bot's positions" };
    eprintln!("pivot-trading does not answer: {}", silence(holder));
    eprintln!(
        "nothing was cancelled or sold yet; the panic stays in {} and is carried out when it runs",
        folder.display()
    );
    eprintln!("to close {scope} now, use the broker's own app, or restart pivot-trading");
    Ok(ExitCode::from(1))
}

fn silence(holder: Option<u32>) -> String {
    match holder {
        Some(pid) => format!("it runs (pid {pid}) and gave no answer in {} s", WAIT_MAX.as_secs()),
        None => "it does not run".to_owned(),
    }
}

fn report(common: &Common, reply: Reply, when_silent: &str) -> ExitCode {
    let (done, text) = match reply {
        Reply::Answered(answer) => (answer.done, answer.text),
        Reply::Silent(holder) => {
            (false, format!("pivot-trading does not answer: {}; {when_silent}", silence(holder)))
        }
    };
    if common.json {
        println!("{}", json!({ "done": done, "text": text }));
    } else if done {
        println!("{text}");
    } else {
        eprintln!("not done: {text}");
    }
    if done { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn ask(common: &Common, what: &str, action: OperatorAction) -> anyhow::Result<Reply> {
    let folder = common.data.folder()?;
    let mut store = Store::open_existing(&folder, Role::Ctl)?;
    let asked_at = now()?;
    let request = Request {
        source: Source::Ctl,
        update_id: None,
        chat: None,
        user: None,
        actor: actor(),
        ask: Ask::Operator(action),
        asked_at,
    };
    let (id, _) = store.ask(&request)?;
    let reply = wait(&mut store, &folder, id)?;
    let outcome = match &reply {
        Reply::Answered(answer) => answer.text.clone(),
        Reply::Silent(holder) => format!("no answer: {}", silence(*holder)),
    };
    audit(&mut store, &request.actor, what, outcome, id, asked_at)?;
    Ok(reply)
}

fn wait(store: &mut Store, folder: &Path, request: i64) -> anyhow::Result<Reply> {
    let until = Instant::now() + WAIT_MAX;
    loop {
        if let Some(answer) = store.answers(request)?.pop() {
            return Ok(Reply::Answered(answer));
        }
        let holder = ServiceLock::holder(folder, Role::Trading.as_str());
        if holder.is_none() || Instant::now() >= until {
            return Ok(Reply::Silent(holder));
        }
        while !store.changed()? && Instant::now() < until {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

fn audit(
    store: &mut Store,
    actor: &str,
    what: &str,
    outcome: String,
    request: i64,
    at: Timestamp,
) -> anyhow::Result<()> {
    store.audit(&AuditEntry {
        at,
        source: Source::Ctl,
        actor: actor.to_owned(),
        what: what.to_owned(),
        outcome,
        correlation: Some(format!("request {request}")),
    })?;
    Ok(())
}

/// `pivotctl:` and the name of the person, also behind sudo.
fn actor() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let name = named.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string());
    format!("pivotctl:{name}")
}
