//! Commands as people write them.

use chrono::{NaiveDate, NaiveTime};

use super::html::Page;
use crate::config::LOG_COMPONENTS;
use crate::engine::event::OperatorAction;
use crate::engine::settings::Limit;
use crate::market::Money;
use crate::store::Role;
use crate::telemetry::rows::LogQuery;

/// Lines when nobody asks for another number.
const LINES: u32 = 20;

/// Lines at most.
const LINES_MAX: u32 = 500;

/// What a person asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Help(Option<String>),
    Show(View),
    /// The last lines of the log, for operators.
    Logs(LogQuery),
    /// Renewals ahead, for operators.
    Reminders,
    Change(Change),
}

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    Status,
    Position,
    Trades(Option<NaiveDate>),
    Summary(Option<NaiveDate>),
    Week,
    Month(Option<NaiveDate>),
    Pivots(Option<String>),
    Why { symbol: Option<String>, time: Option<NaiveTime> },
    Orders,
    Health,
    Config,
    Version,
}

/// Something that changes things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// For the engine.
    Ask(OperatorAction),
    /// Send the login link again.
    Login,
    /// Silence routine messages for some minutes; 0 ends it.
    Mute(u32),
    /// Make a backup now.
    Backup,
    /// Remind people of something.
    SetReminder { date: NaiveDate, text: String },
    /// Remind them no longer, by its number.
    DropReminder(u32),
    /// Have a service started again; `None` asks which.
    Restart { service: Option<Role>, force: bool },
}

impl Change {
    /// True for what is carried out however old the message is.
    pub(super) fn is_always_done(&self) -> bool {
        matches!(self, Change::Ask(OperatorAction::Panic { .. } | OperatorAction::Disable))
    }

    /// What it does, for people and the audit log.
    pub(super) fn describe(&self) -> String {
        match self {
            Change::Ask(OperatorAction::Enable { confirmed: false }) => "enable entries".into(),
            Change::Ask(OperatorAction::Enable { confirmed: true }) => {
                "enable entries (confirmed)".into()
            }
            Change::Ask(OperatorAction::Disable) => "disable entries".into(),
            Change::Ask(OperatorAction::Panic { all: false }) => "panic".into(),
            Change::Ask(OperatorAction::Panic { all: true }) => {
                "panic, positions opened by hand included".into()
            }
            Change::Ask(OperatorAction::Exit) => "close the open position".into(),
            Change::Ask(OperatorAction::Arm) => "arm live trading for today".into(),
            Change::Ask(OperatorAction::Set { limit, value }) => {
                format!("set {} to {}", limit_name(*limit), limit_value(*limit, *value))
            }
            Change::Login => "send the login link".into(),
            Change::Mute(0) => "end the silence".into(),
            Change::Mute(minutes) => format!("be silent for {minutes} minutes"),
            Change::Backup => "make a backup".into(),
            Change::SetReminder { date, text } => format!("set a reminder for {date}: {text}"),
            Change::DropReminder(number) => format!("remove reminder {number}"),
            Change::Restart { service, force } => {
                let name = service.map_or_else(|| "a service".into(), Role::program);
                let force = if *force { ", whatever is open" } else { "" };
                format!("restart {name}{force}")
            }
        }
    }
}

/// A limit's name for people.
pub(super) fn limit_name(limit: Limit) -> &'static str {
    match limit {
        Limit::Lots => "lots of one entry",
        Limit::Trades => "trades of a day",
        Limit::ReEntries => "re-entries of a day",
        Limit::DailyLoss => "loss of a day",
    }
}

/// A limit's value for people.
pub(super) fn limit_value(limit: Limit, value: i64) -> String {
    match limit {
        Limit::Lots | Limit::Trades | Limit::ReEntries => value.to_string(),
        Limit::DailyLoss => format!("₹{}", Money::from_paise(value).grouped()),
    }
}

/// One line of the help.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) arguments: &'static str,
    pub(super) about: &'static str,
    pub(super) example: &'static str,
    pub(super) group: &'static str,
}

impl Entry {
    /// The page with how the command is written below.
    pub(super) fn below(&self, page: Page) -> Page {
        page.title(format!("/{} {}", self.name, self.arguments).trim_end())
            .line(self.about)
            .line(format!("Example: {}", self.example))
    }
}

const fn entry(
    group: &'static str,
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    example: &'static str,
) -> Entry {
    Entry { name, arguments, about, example, group }
}

/// All commands, as the help shows them.
pub(super) const ENTRIES: [Entry; 31] = [
    entry("Look", "status", "", "how things stand", "/status"),
    entry("Look", "position", "", "the open position", "/position"),
    entry("Look", "trades", "[date]", "trades of a day", "/trades 2026-11-20"),
    entry("Look", "summary", "[date]", "figures of a day", "/summary"),
    entry("Look", "week", "", "figures of this week", "/week"),
    entry("Look", "month", "[YYYY-MM]", "figures of a month", "/month 2026-11"),
    entry("Look", "pivots", "[symbol]", "levels and structure of the day", "/pivots"),
    entry("Look", "why", "[symbol] [HH:MM]", "why it traded or did not", "/why SENSEX 10:12"),
    entry("Look", "orders", "", "today's orders and their life", "/orders"),
    entry("Look", "health", "", "machine, services, data", "/health"),
    entry("Look", "config", "", "the settings that matter", "/config"),
    entry("Look", "version", "", "versions of the services", "/version"),
    entry("Trade", "enable", "", "allow entries", "/enable"),
    entry("Trade", "disable", "", "no more entries; positions are managed on", "/disable"),
    entry("Trade", "panic", "[all]", "cancel, flatten, stay disabled", "/panic"),
    entry("Trade", "exit", "", "close the open position", "/exit"),
    entry("Trade", "arm", "", "allow live orders today", "/arm"),
    entry("Limits", "setlots", "n", "lots of one entry", "/setlots 1"),
    entry("Limits", "setmaxtrades", "n", "trades of a day", "/setmaxtrades 3"),
    entry("Limits", "setmaxre", "n", "re-entries of a day", "/setmaxre 1"),
    entry("Limits", "setmaxloss", "rupees", "loss of a day", "/setmaxloss 5000"),
    entry("More", "login", "", "the login link again", "/login"),
    entry("More", "mute", "[minutes]", "silence routine messages; 0 ends it", "/mute 60"),
    entry("More", "reminders", "", "renewals ahead", "/reminders"),
    entry(
        "More",
        "setreminder",
        "DATE TEXT",
        "a reminder of your own; with its number and off, no longer",
        "/setreminder 2026-12-31 Pay the server",
    ),
    entry("More", "logs", "[n] [level] [component]", "the last lines of the log", "/logs 50 warn"),
    entry(
        "More",
        "restart",
        "[service] [force]",
        "start trading, auth or bot again; force: with a position open too",
        "/restart trading",
    ),
    entry("More", "backup", "", "make and verify a backup now", "/backup"),
    entry("More", "day", "[date]", "the same as /summary", "/day 2026-11-20"),
    entry("More", "help", "[command]", "this list", "/help panic"),
    entry("More", "start", "", "this list", "/start"),
];

/// What can be started again.
pub(super) const SERVICES: [Role; 3] = [Role::Trading, Role::Auth, Role::Bot];

/// Minutes of silence when nothing is said, and at most.
const MUTE_MINUTES: u32 = 60;
const MUTE_MINUTES_MAX: u32 = 24 * 60;

/// The help line of a command.
pub(super) fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

/// The command that was probably meant.
pub(super) fn nearest(word: &str) -> &'static Entry {
    let likeness = |entry: &&Entry| {
        let value = strsim::jaro_winkler(entry.name, word);
        (value * 1e6) as u64
    };
    ENTRIES.iter().max_by_key(likeness).unwrap_or(&ENTRIES[0])
}

/// What was written is no command, or has wrong arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misuse {
    /// The command that was probably meant.
    pub(super) entry: &'static str,
    /// What is wrong.
    pub(super) why: String,
}

/// True unless the command names another bot, as in `/status@other_bot`: in a
/// group every bot sees it. `own` is this bot's name, as far as it is known.
pub(super) fn is_for(text: &str, own: Option<&str>) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    match (first.split_once('@'), own) {
        (Some((_, addressed)), Some(own)) => addressed.eq_ignore_ascii_case(own),
        (Some(_), None) | (None, Some(_) | None) => true,
    }
}

/// Reads a message that begins with a slash.
pub(super) fn parse(text: &str) -> Result<Command, Misuse> {
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    let name = first.trim_start_matches('/').split('@').next().unwrap_or_default();
    let name = name.to_ascii_lowercase();
    let arguments: Vec<&str> = words.collect();
    let Some(entry) = find(&name) else {
        let entry = nearest(&name).name;
        return Err(Misuse { entry, why: format!("there is no /{name}") });
    };
    read(entry.name, &arguments).map_err(|why| Misuse { entry: entry.name, why })
}

fn read(name: &str, arguments: &[&str]) -> Result<Command, String> {
    let none = || match arguments {
        [] => Ok(()),
        [extra, ..] => Err(format!("it takes nothing, was {extra:?}")),
    };
    let show = |view: View| none().map(|()| Command::Show(view));
    let ask = |action: OperatorAction| none().map(|()| Command::Change(Change::Ask(action)));
    let set = |limit| one(arguments).and_then(number).map(|value| set_limit(limit, value));
    match name {
        "help" | "start" => Ok(Command::Help(arguments.first().map(ToString::to_string))),
        "status" => show(View::Status),
        "position" => show(View::Position),
        "trades" => Ok(Command::Show(View::Trades(optional(arguments, date)?))),
        "summary" | "day" => Ok(Command::Show(View::Summary(optional(arguments, date)?))),
        "week" => show(View::Week),
        "month" => Ok(Command::Show(View::Month(optional(arguments, month)?))),
        "pivots" => Ok(Command::Show(View::Pivots(optional(arguments, symbol)?))),
        "why" => why(arguments),
        "orders" => show(View::Orders),
        "health" => show(View::Health),
        "config" => show(View::Config),
        "version" => show(View::Version),
        "enable" => ask(OperatorAction::Enable { confirmed: false }),
        "disable" => Ok(Command::Change(Change::Ask(OperatorAction::Disable))),
        "panic" => panic_command(arguments),
        "exit" => ask(OperatorAction::Exit),
        "arm" => ask(OperatorAction::Arm),
        "setlots" => set(Limit::Lots),
        "setmaxtrades" => set(Limit::Trades),
        "setmaxre" => set(Limit::ReEntries),
        "setmaxloss" => loss(one(arguments)?),
        "login" => none().map(|()| Command::Change(Change::Login)),
        "backup" => none().map(|()| Command::Change(Change::Backup)),
        "reminders" => none().map(|()| Command::Reminders),
        "setreminder" => reminder(arguments),
        "logs" => logs(arguments),
        "restart" => restart(arguments),
        "mute" => {
            let minutes = optional(arguments, number)?.unwrap_or(i64::from(MUTE_MINUTES));
            let minutes = u32::try_from(minutes).ok().filter(|m| *m <= MUTE_MINUTES_MAX);
            let minutes = minutes.ok_or("expected 0 to 1440 minutes")?;
            Ok(Command::Change(Change::Mute(minutes)))
        }
        _ => Err(format!("there is no /{name}")),
    }
}

/// A panic is never refused for what stands behind it, but for `all`.
fn panic_command(arguments: &[&str]) -> Result<Command, String> {
    let all = arguments.first().is_some_and(|word| word.eq_ignore_ascii_case("all"));
    Ok(Command::Change(Change::Ask(OperatorAction::Panic { all })))
}

fn set_limit(limit: Limit, value: i64) -> Command {
    Command::Change(Change::Ask(OperatorAction::Set { limit, value }))
}

fn loss(text: &str) -> Result<Command, String> {
    let money: Money = text.replace([',', '₹'], "").parse().map_err(|error| format!("{error}"))?;
    Ok(set_limit(Limit::DailyLoss, money.paise()))
}

/// `DATE TEXT`, or `NUMBER off`.
fn reminder(arguments: &[&str]) -> Result<Command, String> {
    let (first, rest) = arguments.split_first().ok_or("it takes a date and a text")?;
    if let ([word], Ok(number)) = (rest, first.parse::<u32>())
        && word.eq_ignore_ascii_case("off")
    {
        return Ok(Command::Change(Change::DropReminder(number)));
    }
    let date = ["%Y-%m-%d", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%Y"]
        .into_iter()
        .find_map(|form| NaiveDate::parse_from_str(first, form).ok())
        .ok_or_else(|| format!("expected a date such as 2026-12-31, was {first:?}"))?;
    if rest.is_empty() {
        return Err("it needs a text behind the date".into());
    }
    Ok(Command::Change(Change::SetReminder { date, text: rest.join(" ") }))
}

/// A number, a level, a service or a component, in any order.
fn logs(arguments: &[&str]) -> Result<Command, String> {
    let mut query = LogQuery { limit: LINES, ..LogQuery::default() };
    for word in arguments {
        let name = word.to_ascii_lowercase();
        let level = if name == "warning" { "warn" } else { &name };
        if let Ok(lines) = name.parse::<u32>() {
            let lines = Some(lines).filter(|lines| (1..=LINES_MAX).contains(lines));
            query.limit = lines.ok_or_else(|| format!("expected 1 to {LINES_MAX} lines"))?;
        } else if let Ok(level) = level.parse::<tracing::Level>() {
            query.level = Some(level);
        } else if LOG_COMPONENTS.contains(&name.as_str()) {
            query.component = Some(name);
        } else if let Some(service) = service(&name) {
            query.service = Some(service.as_str().to_string());
        } else {
            return Err(format!(
                "expected a number of lines, a level (error, warn, info), a service (trading, \
                 auth, bot) or a component such as execution_service, was {word:?}"
            ));
        }
    }
    Ok(Command::Logs(query))
}

fn restart(arguments: &[&str]) -> Result<Command, String> {
    let mut change = (None, false);
    for word in arguments {
        match service(&word.to_ascii_lowercase()) {
            Some(service) if change.0.is_none() => change.0 = Some(service),
            None if word.eq_ignore_ascii_case("force") => change.1 = true,
            Some(_) | None => {
                return Err(format!("expected trading, auth or bot, and force, was {word:?}"));
            }
        }
    }
    let (service, force) = change;
    Ok(Command::Change(Change::Restart { service, force }))
}

/// The service of this name, with `pivot-` before it or without.
fn service(name: &str) -> Option<Role> {
    let name = name.strip_prefix("pivot-").unwrap_or(name);
    SERVICES.into_iter().find(|service| service.as_str() == name)
}

fn why(arguments: &[&str]) -> Result<Command, String> {
    let mut name = None;
    let mut moment = None;
    for word in arguments {
        match time(word) {
            Ok(at) if moment.is_none() => moment = Some(at),
            Err(no_time) if is_like_time(word) => return Err(no_time),
            Err(_) if name.is_none() => name = Some(symbol(word)?),
            Ok(_) | Err(_) => return Err(format!("expected [symbol] [HH:MM], was {word:?}")),
        }
    }
    Ok(Command::Show(View::Why { symbol: name, time: moment }))
}

fn one<'a>(arguments: &[&'a str]) -> Result<&'a str, String> {
    match arguments {
        [only] => Ok(only),
        [] => Err("it takes a number".into()),
        [_, extra, ..] => Err(format!("it takes one number, was {extra:?} besides")),
    }
}

fn optional<T>(
    arguments: &[&str],
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    match arguments {
        [] => Ok(None),
        [only] => read(only).map(Some),
        [_, extra, ..] => Err(format!("it takes one argument, was {extra:?} besides")),
    }
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("expected a whole number, was {text:?}"))
}

fn date(text: &str) -> Result<NaiveDate, String> {
    text.parse().map_err(|_| format!("expected a date such as 2026-11-20, was {text:?}"))
}

fn month(text: &str) -> Result<NaiveDate, String> {
    format!("{text}-01").parse().map_err(|_| format!("expected YYYY-MM, was {text:?}"))
}

fn time(text: &str) -> Result<NaiveTime, String> {
    NaiveTime::parse_from_str(text, "%H:%M")
        .map_err(|_| format!("expected a time such as 09:33, was {text:?}"))
}

/// True for what is meant as a time: a colon with no exchange before it.
fn is_like_time(text: &str) -> bool {
    let before = text.split_once(':').map(|(before, _)| before);
    before.is_some_and(|before| !before.contains(|letter: char| letter.is_ascii_alphabetic()))
}

fn symbol(text: &str) -> Result<String, String> {
    let sound = text.len() <= 40
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-&_ ".contains(&byte));
    if sound { Ok(text.to_ascii_uppercase()) } else { Err(format!("{text:?} is no symbol")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_find_every_command_described() {
        const PAGE: &str = include_str!("../../docs/OPERATIONS.md");
        for entry in &ENTRIES {
            let command = format!("/{} {}", entry.name, entry.arguments);
            let row = format!("| `{}` | {} |", command.trim_end(), entry.about);
            assert!(PAGE.contains(&row), "docs/OPERATIONS.md lacks {row}");
        }
    }

    #[test]
    fn reads_commands() {
        let check = |text: &str, expect: Command| assert_eq!(parse(text), Ok(expect));
        let ask = |action| Command::Change(Change::Ask(action));
        check("/status", Command::Show(View::Status));
        check("/STATUS@pivot_bot", Command::Show(View::Status));
        check("/panic", ask(OperatorAction::Panic { all: false }));
        check("/panic ALL", ask(OperatorAction::Panic { all: true }));
        check("/panic now please", ask(OperatorAction::Panic { all: false }));
        check("/disable !!", ask(OperatorAction::Disable));
        check("/setlots 2", ask(OperatorAction::Set { limit: Limit::Lots, value: 2 }));
        let loss = OperatorAction::Set { limit: Limit::DailyLoss, value: 450_050 };
        check("/setmaxloss 4,500.50", ask(loss));
        let time = NaiveTime::from_hms_opt(10, 12, 0);
        let symbol = Some("SENSEX".to_string());
        check("/why 10:12 sensex", Command::Show(View::Why { symbol, time }));
        check("/trades 2026-11-20", Command::Show(View::Trades("2026-11-20".parse().ok())));
        check("/month 2026-11", Command::Show(View::Month("2026-11-01".parse().ok())));
    }

    #[test]
    fn reads_reminders_as_people_write_dates() {
        let date = NaiveDate::from_ymd_opt(2026, 12, 31).unwrap();
        let text = "Pay the <server>".to_string();
        let set = Command::Change(Change::SetReminder { date, text });
        for written in ["2026-12-31", "31.12.2026", "31-12-2026", "31/12/2026"] {
            assert_eq!(
                parse(&format!("/setreminder {written} Pay  the\n<server>")),
                Ok(set.clone())
            );
        }
        let dropped = Ok(Command::Change(Change::DropReminder(3)));
        assert_eq!(parse("/setreminder 3 OFF"), dropped);
        for (wrong, why) in [
            ("/setreminder", "it takes a date and a text"),
            ("/setreminder 2026-12-31", "it needs a text"),
            ("/setreminder 2026-02-30 x", "expected a date such as"),
            ("/setreminder tomorrow x", "expected a date such as"),
            ("/setreminder off 3", "expected a date such as"),
        ] {
            let misuse = parse(wrong).unwrap_err();
            assert!(misuse.entry == "setreminder" && misuse.why.contains(why), "{misuse:?}");
        }
    }

    #[test]
    fn reads_which_lines_of_the_log_are_wanted() {
        let plain = LogQuery { limit: LINES, ..LogQuery::default() };
        assert_eq!(parse("/logs"), Ok(Command::Logs(plain.clone())));
        let level = Some(tracing::Level::WARN);
        let component = Some("execution_service".to_string());
        let wanted = LogQuery { limit: 50, level, component, ..plain.clone() };
        for written in ["50 warn execution_service", "Execution_Service WARNING 50"] {
            assert_eq!(parse(&format!("/logs {written}")), Ok(Command::Logs(wanted.clone())));
        }
        let service = Some("bot".to_string());
        assert_eq!(parse("/logs pivot-bot"), Ok(Command::Logs(LogQuery { service, ..plain })));
        for wrong in ["/logs 0", "/logs 501", "/logs loud", "/logs -5"] {
            assert_eq!(parse(wrong).unwrap_err().entry, "logs", "{wrong}");
        }
    }

    #[test]
    fn reads_which_service_is_to_be_restarted() {
        let check = |text: &str, service, force| {
            let change = Change::Restart { service, force };
            assert_eq!(parse(text), Ok(Command::Change(change)), "{text}");
        };
        check("/restart", None, false);
        check("/restart trading", Some(Role::Trading), false);
        check("/restart force Pivot-Auth", Some(Role::Auth), true);
        for wrong in ["/restart everything", "/restart bot auth", "/restart ctl"] {
            assert_eq!(parse(wrong).unwrap_err().entry, "restart", "{wrong}");
        }
    }

    #[test]
    fn names_the_nearest_command() {
        let check = |text: &str, nearest: &str| {
            assert_eq!(parse(text).unwrap_err().entry, nearest, "{text}");
        };
        check("/statsu", "status");
        check("/enabel", "enable");
        check("/setlot 1", "setlots");
        check("/setlots", "setlots");
        check("/setlots one", "setlots");
        check("/trades yesterday", "trades");
        check("/enable now", "enable");
    }

    #[test]
    fn what_looks_like_a_time_is_one() {
        for wrong in ["/why 99:99", "/why SENSEX 25:00", "/why 9:3x", "/why :30"] {
            let misuse = parse(wrong).unwrap_err();
            assert!(misuse.why.starts_with("expected a time such as 09:33, was"), "{misuse:?}");
        }
        let symbol = Some("BSE:SENSEX".to_string());
        let expect = Command::Show(View::Why { symbol, time: None });
        assert_eq!(parse("/why BSE:SENSEX"), Ok(expect));
    }

    #[test]
    fn commands_for_other_bots_are_theirs() {
        let own = Some("pivot_bot");
        for (text, own, ours) in [
            ("/status", own, true),
            ("/status@pivot_bot", own, true),
            ("/panic@Pivot_Bot now", own, true),
            ("/status@other_bot", own, false),
            ("/status@", own, false),
            ("/status mail@example.com", own, true),
            ("/status@other_bot", None, true),
        ] {
            assert_eq!(is_for(text, own), ours, "{text}");
        }
    }

    #[test]
    fn every_entry_is_read() {
        for entry in &ENTRIES {
            assert!(parse(entry.example).is_ok(), "{}", entry.example);
        }
    }
}
