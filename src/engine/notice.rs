//! What people are told. Plain text pieces; each channel formats them.

use super::settings::Mode;
use crate::market::Timestamp;

/// One message for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is about; switched on, silent or off in `notifications.*`.
    pub kind: NoticeKind,
    /// How much it matters.
    pub severity: Severity,
    /// The mode, shown in every message.
    pub mode: Mode,
    /// When it happened.
    pub at: Timestamp,
    /// Correlation: the trade it belongs to, `YYYYMMDD_NNN`.
    pub trade: Option<String>,
    /// Written once: a second notice with the same key is dropped.
    pub once: Option<String>,
    /// One line, without markup.
    pub headline: String,
    /// Label and value, in order, without markup.
    pub fields: Vec<(String, String)>,
    /// Free text below the fields, without markup.
    pub footer: Option<String>,
}

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Routine.
    Info,
    /// Someone should look.
    Warning,
    /// Someone must act.
    Critical,
}

/// Kinds of notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoticeKind {
    /// Please log in (one link).
    LoginRequest,
    /// Logged in.
    Authenticated,
    /// The day's levels, once.
    PreMarket,
    /// Not a trading day, or nothing can be traded today.
    NoTrading,
    /// A signal was refused by a gate.
    Refused,
    /// A position was opened.
    Entry,
    /// The first target was reached and the stop moved.
    Progress,
    /// A position was closed.
    Exit,
    /// An order needs watching: re-priced, rejected, unknown.
    OrderTrouble,
    /// A risk limit acted.
    RiskStop,
    /// Steps of a panic.
    Panic,
    /// A service fell silent or came back.
    Service,
    /// Price data went stale or came back.
    Data,
    /// The end-of-day summary, once.
    Summary,
    /// Trading was enabled, disabled, armed, or a limit changed.
    Control,
    /// What the broker shows differs from what we know.
    Mismatch,
    /// Something is to be renewed soon; said by the chat service.
    Reminders,
}

impl NoticeKind {
    /// Its name in `notifications.*` and in the outbox.
    pub const fn as_str(self) -> &'static str {
        match self {
            NoticeKind::LoginRequest => "login_request",
            NoticeKind::Authenticated => "authenticated",
            NoticeKind::PreMarket => "pre_market",
            NoticeKind::NoTrading => "no_trading",
            NoticeKind::Refused => "refused",
            NoticeKind::Entry => "entry",
            NoticeKind::Progress => "progress",
            NoticeKind::Exit => "exit",
            NoticeKind::OrderTrouble => "order_trouble",
            NoticeKind::RiskStop => "risk_stop",
            NoticeKind::Panic => "panic",
            NoticeKind::Service => "service",
            NoticeKind::Data => "data",
            NoticeKind::Summary => "summary",
            NoticeKind::Control => "control",
            NoticeKind::Mismatch => "mismatch",
            NoticeKind::Reminders => "reminders",
        }
    }

    /// All kinds, in the order of the enum.
    pub const ALL: [NoticeKind; 17] = [
        NoticeKind::LoginRequest,
        NoticeKind::Authenticated,
        NoticeKind::PreMarket,
        NoticeKind::NoTrading,
        NoticeKind::Refused,
        NoticeKind::Entry,
        NoticeKind::Progress,
        NoticeKind::Exit,
        NoticeKind::OrderTrouble,
        NoticeKind::RiskStop,
        NoticeKind::Panic,
        NoticeKind::Service,
        NoticeKind::Data,
        NoticeKind::Summary,
        NoticeKind::Control,
        NoticeKind::Mismatch,
        NoticeKind::Reminders,
    ];

    /// Reads its name.
    pub fn parse(text: &str) -> Option<NoticeKind> {
        NoticeKind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}
