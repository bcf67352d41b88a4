//! `pivotctl enable`, `disable` and `panic`: requests to pivot-trading, and
//! its answers. A panic that nobody answers is carried out here.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use super::data::{DataArgs, now};
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::event::OperatorAction;
use crate::market::Timestamp;
use crate::service::LoginLinks;
use crate::store::lock::ServiceLock;
use crate::store::{Answer, Ask, AuditEntry, Request, Role, Source, Store};
use crate::trading::flatten::{self, ANSWER_WITHIN, DEAD_AFTER, Flattened};

/// How long an answer is waited for, in real time.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// How long one is waited for while nobody holds the lock: it may just be
/// restarting.
const RESTART_MAX: Duration = Duration::from_secs(2);

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
    Silent(Silence),
}

/// Nobody answered.
struct Silence {
    /// Number of the request.
    request: i64,
    /// Process that holds the lock of pivot-trading, when there is one.
    holder: Option<u32>,
    /// How long it was waited for.
    waited: Duration,
}

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("pivot-trading does not answer: ")?;
        match self.holder {
            Some(pid) => {
                write!(f, "it runs (pid {pid}) and said nothing in {} s", self.waited.as_secs())
            }
            None => f.write_str("it does not run"),
        }
    }
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
    let action = OperatorAction::Panic { all: args.all };
    let (request, holder) = match ask(&args.common, "panic", action) {
        Ok(Reply::Answered(answer)) => {
            let code = report(&args.common, Reply::Answered(answer), "");
            show_login(&args.common);
            return Ok(code);
        }
        Ok(Reply::Silent(silence)) => {
            errln!("{silence}");
            (silence.request, silence.holder)
        }
        Err(error) => {
            errln!("the request could not be written down: {error:#}");
            (0, None)
        }
    };
    let (done, text) = match flatten_in_its_place(&args.common.data, request) {
        Ok(Flattened::Flat) => (true, flat(args.all)),
        Ok(Flattened::Answered(answer)) => (answer.done, answer.text),
        Ok(Flattened::Unchecked(what)) => {
            let look = "look for positions in the broker's own app";
            (false, format!("not checked at the broker: {what}; {look}"))
        }
        Ok(Flattened::Left(what)) => (false, format!("NOT FLAT: {what}; {}", remedy(None))),
        Err(error) => {
            (false, format!("nothing was cancelled or sold: {error:#}; {}", remedy(holder)))
        }
    };
    let code = show(&args.common, done, &text);
    if !done {
        show_login(&args.common);
    }
    Ok(code)
}

/// Shows the login link when nobody is logged in.
fn show_login(common: &Common) {
    let link = || -> anyhow::Result<Option<String>> {
        let store = common.data.reader()?;
        let at = now()?;
        if store.session(at)?.is_some() {
            return Ok(None);
        }
        let config = Config::load(&common.data.config_path())?;
        Ok(Some(LoginLinks::new(&config).make(at)?.0))
    };
    match link() {
        Ok(Some(link)) => errln!("nobody is logged in at the broker; log in: {link}"),
        Ok(None) => {}
        Err(error) => errln!("no login link: {error:#}"),
    }
}

fn flat(all: bool) -> String {
    let whose = if all { "nothing" } else { "nothing of the bot's" };
    format!("flat: {whose} is held or working; trading stays disabled")
}

fn remedy(holder: Option<u32>) -> String {
    match holder {
        Some(pid) => format!("end process {pid} and panic again, or close in the broker's own app"),
        None => {
            "close in the broker's own app (a file HALT in the data folder forbids new positions)"
                .to_owned()
        }
    }
}

/// Cancels and flattens in place of a pivot-trading that is dead or hangs.
fn flatten_in_its_place(data: &DataArgs, request: i64) -> anyhow::Result<Flattened> {
    let mut config = Config::load(&data.config_path())?;
    config.data.dir = data.folder()?.to_string_lossy().into_owned();
    errln!("flattening from here");
    let clock = Clock::from_env().context("could not read the clock")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let actor = actor();
    let work = flatten::run(config, clock, &actor, request);
    Ok(tokio::task::LocalSet::new().block_on(&runtime, work)?)
}

fn report(common: &Common, reply: Reply, when_silent: &str) -> ExitCode {
    match reply {
        Reply::Answered(answer) => show(common, answer.done, &answer.text),
        Reply::Silent(silence) => show(common, false, &format!("{silence}; {when_silent}")),
    }
}

fn show(common: &Common, done: bool, text: &str) -> ExitCode {
    if common.json {
        outln!("{}", json!({ "done": done, "text": text }));
    } else if done {
        outln!("{text}");
    } else {
        errln!("not done: {text}");
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
    let is_panic = matches!(request.ask, Ask::Operator(OperatorAction::Panic { .. }));
    let (id, _) = store.ask(&request)?;
    let reply = wait(&mut store, &folder, id, is_panic)?;
    let outcome = match &reply {
        Reply::Answered(answer) => answer.text.clone(),
        Reply::Silent(silence) => silence.to_string(),
    };
    audit(&mut store, &request.actor, what, outcome, id, asked_at)?;
    Ok(reply)
}

fn wait(store: &mut Store, folder: &Path, request: i64, is_panic: bool) -> anyhow::Result<Reply> {
    let (patience, absent_max) =
        if is_panic { (ANSWER_WITHIN, DEAD_AFTER) } else { (WAIT_MAX, RESTART_MAX) };
    let asked = Instant::now();
    let mut seen_at = asked;
    loop {
        // The lock is looked at first: a service that answered and ended in
        // between has still answered.
        let holder = ServiceLock::holder(folder, Role::Trading.as_str());
        if let Some(answer) = store.answers(request)?.pop() {
            return Ok(Reply::Answered(answer));
        }
        if holder.is_some() {
            seen_at = Instant::now();
        }
        let waited = asked.elapsed();
        if waited >= patience || seen_at.elapsed() >= absent_max {
            return Ok(Reply::Silent(Silence { request, holder, waited }));
        }
        std::thread::sleep(LOOK_EVERY);
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
