//! Facts of the engine as rows of the tables that people query. Written in
//! the transaction of the journal entry that they belong to.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use super::columns::{At, Day, Doc};
use super::{Answer, inbox, messages};
use crate::engine::command::Command;
use crate::engine::event::Event;
use crate::engine::ledger::{
    DaySummary, Decision, ExitReason, Fact, LimitRecord, OrderRecord, StateRecord, TradeRecord,
    Verdict,
};
use crate::engine::strategy::reason;
use crate::market::time::{ist, ist_date, ist_text};
use crate::market::{Instrument, InstrumentKey, InstrumentKind, Money, Price, Timestamp};

/// Turns commands into rows. Knows the day's contracts, because a decision
/// names its instrument only by its key.
#[derive(Debug, Default)]
pub struct Projector {
    underlying: Option<String>,
    contracts: BTreeMap<InstrumentKey, Instrument>,
}

impl Projector {
    /// Takes note of a day's plan.
    pub(crate) fn event(&mut self, event: &Event) {
        if let Event::Day(plan) = event {
            self.underlying = Some(plan.signal.key.symbol.clone());
            let all = plan.contracts.iter().chain([&plan.signal]);
            self.contracts =
                all.map(|instrument| (instrument.key.clone(), instrument.clone())).collect();
        }
    }

    /// Writes the rows of a command.
    pub(crate) fn command(
        &self,
        connection: &Connection,
        at: Timestamp,
        command: &Command,
    ) -> rusqlite::Result<()> {
        match command {
            Command::Say(notice) => messages::post(connection, notice).map(|_| ()),
            Command::Record(fact) => self.fact(connection, at, fact),
            Command::Submit { .. }
            | Command::Modify { .. }
            | Command::Cancel { .. }
            | Command::Fetch(_)
            | Command::Watch(_) => Ok(()),
        }
    }

    fn fact(&self, connection: &Connection, at: Timestamp, fact: &Fact) -> rusqlite::Result<()> {
        match fact {
            Fact::Decision(decision) => self.decision(connection, decision),
            Fact::Trade(trade) => self.trade(connection, trade),
            Fact::Order(order) => write_order(connection, order),
            Fact::State(state) => write_state(connection, at, state),
            Fact::Answer { request, done, text } => {
                let answer = Answer { request: *request, done: *done, text: text.clone(), at };
                inbox::insert_answer(connection, &answer)
            }
            Fact::Limit(limit) => write_limit(connection, limit),
            Fact::Day(summary) => write_summary(connection, summary),
        }
    }

    fn underlying_of(&self, key: &InstrumentKey) -> String {
        self.underlying.clone().unwrap_or_else(|| key.symbol.clone())
    }

    fn decision(&self, connection: &Connection, decision: &Decision) -> rusqlite::Result<()> {
        let sql = "INSERT INTO decisions
            (date, exchange, symbol, start, at, verdict, reason, record)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        connection.prepare_cached(sql)?.execute((
            Day(ist_date(decision.at)),
            decision.instrument.exchange.as_str(),
            &decision.instrument.symbol,
            At(decision.candle.start),
            At(decision.at),
            verdict_word(decision.verdict),
            &decision.reason,
            Doc(decision),
        ))?;
        match decision.verdict {
            Verdict::Quiet => Ok(()),
            Verdict::Rejected | Verdict::Enter => {
                self.signal(connection, decision, connection.last_insert_rowid())
            }
        }
    }

    fn signal(
        &self,
        connection: &Connection,
        decision: &Decision,
        decision_id: i64,
    ) -> rusqlite::Result<()> {
        let contract = self.contracts.get(&decision.instrument);
        let candle = &decision.candle;
        let day = Day(ist_date(decision.at));
        let outlook = outlook_of(connection, &day, &decision.instrument)?;
        let level = |names: &[&str]| outlook.as_ref().and_then(|found| found.level(names));
        let sql = "INSERT INTO signals (
            date, time, instrument, symbol, strike, option_type, signal_type, scenario, structure,
            candle_open, candle_high, candle_low, candle_close, candle_size_pct, is_significant,
            pivot_pp, pivot_r1, pivot_r2, pivot_r3, action_taken, reason, decision_id)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
            ?18, ?19, ?20, ?21, ?22)";
        connection.prepare_cached(sql)?.execute(rusqlite::params![
            day,
            ist(decision.at).format("%H:%M:%S").to_string(),
            self.underlying_of(&decision.instrument),
            &decision.instrument.symbol,
            contract.and_then(strike_of),
            contract.and_then(|contract| contract.kind.option_type()),
            decision.direction.map_or("NONE", |direction| direction.as_str()),
            decision.level.as_deref().map(Scenario),
            outlook.as_ref().map(|found| found.structure.as_str()),
            rupees(candle.open),
            rupees(candle.high),
            rupees(candle.low),
            rupees(candle.close),
            size_percent(candle.open, candle.close),
            significance(decision),
            level(&["PP", "P"]),
            level(&["R1"]),
            level(&["R2"]),
            level(&["R3"]),
            match decision.verdict {
                Verdict::Enter => "ENTERED",
                Verdict::Rejected | Verdict::Quiet => "SKIPPED",
            },
            &decision.reason,
            decision_id,
        ])?;
        Ok(())
    }

    fn trade(&self, connection: &Connection, trade: &TradeRecord) -> rusqlite::Result<()> {
        let level = |names: &[&str]| named_level(&trade.levels, names);
        let is_option = trade.kind.option_type().is_some();
        let closed_any = trade.closed_quantity > 0;
        let sql = "INSERT OR REPLACE INTO trades (
            trade_id, date, instrument, symbol, strike, option_type, entry_time, entry_price,
            entry_candle_low, exit_time, exit_price, exit_reason, scenario, structure,
            first_candle_entry, target_price, sl_price, candles_held, pnl_points, pnl_rupees,
            lot_size, re_entry, pivot_pp, pivot_r1, pivot_r2, pivot_r3, pivot_r4, pivot_r5,
            pivot_s1, charges, net_pnl, direction, exchange, closed, gross_paise, charges_paise,
            net_paise, record)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
            ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34,
            ?35, ?36, ?37, ?38)";
        connection.prepare_cached(sql)?.execute(rusqlite::params![
            &trade.trade_id,
            Day(trade.date),
            self.underlying_of(&trade.signal),
            &trade.contract.symbol,
            is_option.then(|| rupees(trade.strike)),
            trade.kind.option_type(),
            trade.entered_at.map(ist_text),
            trade.entry_value.per_unit(trade.quantity).map(rupees),
            rupees(trade.candle.low),
            trade.exited_at.map(ist_text),
            trade.exit_value.per_unit(trade.closed_quantity).map(rupees),
            trade.exit_reason.map(|reason| exit_word(reason, &trade.setup)),
            Scenario(&trade.setup),
            &trade.structure,
            trade.first_candle,
            rupees(trade.target),
            rupees(trade.stop),
            trade.candles_held,
            trade.gross.per_unit(trade.closed_quantity).map(rupees),
            closed_any.then(|| money(trade.gross)),
            trade.quantity,
            trade.re_entry,
            level(&["PP", "P"]),
            level(&["R1"]),
            level(&["R2"]),
            level(&["R3"]),
            level(&["R4"]),
            level(&["R5"]),
            level(&["S1"]),
            money(trade.charges),
            money(trade.net()),
            trade.direction.as_str(),
            trade.contract.exchange.as_str(),
            trade.is_closed(),
            trade.gross.paise(),
            trade.charges.paise(),
            trade.net().paise(),
            Doc(trade),
        ])?;
        Ok(())
    }
}

fn write_order(connection: &Connection, order: &OrderRecord) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO orders (
        date, intent, trade_id, role, tag, order_id, exchange, symbol, side, order_type, quantity,
        price_paise, trigger_paise, status, message, filled, filled_value_paise, decided_at,
        answered_at, ended_at, changes, record)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
        ?19, ?20, ?21, ?22)";
    connection.prepare_cached(sql)?.execute(rusqlite::params![
        Day(order.date),
        order.intent.0,
        &order.trade_id,
        order.role.as_str(),
        order.tag.as_str(),
        order.order_id.as_ref().map(|id| id.0.as_str()),
        order.instrument.exchange.as_str(),
        &order.instrument.symbol,
        order.side.as_str(),
        order.order_type.as_str(),
        order.quantity,
        order.price.paise(),
        order.trigger.map(Price::paise),
        &order.status,
        &order.message,
        order.filled,
        order.filled_value.paise(),
        At(order.decided_at),
        order.answered_at.map(At),
        order.ended_at.map(At),
        order.changes,
        Doc(order),
    ])?;
    Ok(())
}

fn write_state(
    connection: &Connection,
    at: Timestamp,
    state: &StateRecord,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO state (date, permission, reason, actor, since)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute((
        Day(ist_date(at)),
        state.permission.as_str(),
        &state.reason,
        &state.actor,
        At(state.since),
    ))?;
    Ok(())
}

fn write_limit(connection: &Connection, limit: &LimitRecord) -> rusqlite::Result<()> {
    let sql = "INSERT INTO limits (date, name, value, at_once, actor, record)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(sql)?.execute((
        Day(limit.date),
        format!("{:?}", limit.limit),
        limit.value,
        limit.at_once,
        &limit.actor,
        Doc(limit),
    ))?;
    Ok(())
}

fn write_summary(connection: &Connection, summary: &DaySummary) -> rusqlite::Result<()> {
    let setup = |name: &str| count(&summary.by_setup, |setup| setup == name);
    let exits = |reason: ExitReason| count(&summary.by_exit, |found| *found == reason);
    let sql = "INSERT OR REPLACE INTO daily_summary (
        date, instrument, total_trades, wins, losses, win_rate, gross_pnl, max_drawdown,
        scenario_1_trades, scenario_2_trades, scenario_3_trades, first_candle_entries,
        intraday_entries, stop_losses, targets_hit, timeouts, eod_exits, charges, net_pnl,
        gross_paise, charges_paise, net_paise, record)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
        ?19, ?20, ?21, ?22, ?23)";
    connection.prepare_cached(sql)?.execute(rusqlite::params![
        Day(summary.date),
        &summary.instrument.symbol,
        summary.trades,
        summary.wins,
        summary.losses,
        percent(summary.wins, summary.trades),
        money(summary.gross),
        money(summary.max_drawdown),
        setup("SCENARIO_1"),
        setup("SCENARIO_2"),
        setup("SCENARIO_3"),
        summary.first_candle_entries,
        summary.trades.saturating_sub(summary.first_candle_entries),
        exits(ExitReason::StopLoss),
        exits(ExitReason::Target),
        exits(ExitReason::Timeout),
        exits(ExitReason::Eod),
        money(summary.charges),
        money(summary.net()),
        summary.gross.paise(),
        summary.charges.paise(),
        summary.net().paise(),
        Doc(summary),
    ])?;
    Ok(())
}

/// A setup in the `scenario` column: the number of a scenario, so that
/// `scenario = 1` finds it, or the level's name.
struct Scenario<'a>(&'a str);

impl rusqlite::ToSql for Scenario<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        let number = self.0.strip_prefix("SCENARIO_").and_then(|text| text.parse::<i64>().ok());
        Ok(match number {
            Some(number) => number.into(),
            None => self.0.into(),
        })
    }
}

/// Scenario trades leave after ten candles; their queries look for this word.
fn exit_word(reason: ExitReason, setup: &str) -> &'static str {
    if reason == ExitReason::Timeout && setup.starts_with("SCENARIO_") {
        return "10_CANDLE_TIMEOUT";
    }
    reason.as_str()
}

const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Quiet => "QUIET",
        Verdict::Rejected => "REJECTED",
        Verdict::Enter => "ENTER",
    }
}

fn strike_of(instrument: &Instrument) -> Option<f64> {
    match instrument.kind {
        InstrumentKind::Call | InstrumentKind::Put => Some(rupees(instrument.strike)),
        InstrumentKind::Index | InstrumentKind::Equity | InstrumentKind::Future => None,
    }
}

fn count<T>(counts: &[(T, u32)], wanted: impl Fn(&T) -> bool) -> u32 {
    counts.iter().filter(|(key, _)| wanted(key)).map(|(_, count)| count).sum()
}

/// What the strategy said of an instrument's day.
struct Outlook {
    structure: String,
    levels: Vec<(String, Price)>,
}

impl Outlook {
    fn level(&self, names: &[&str]) -> Option<f64> {
        named_level(&self.levels, names)
    }
}

fn outlook_of(
    connection: &Connection,
    day: &Day,
    instrument: &InstrumentKey,
) -> rusqlite::Result<Option<Outlook>> {
    let sql = "SELECT structure, levels FROM outlook
        WHERE date = ?1 AND exchange = ?2 AND symbol = ?3";
    let key = (day, instrument.exchange.as_str(), &instrument.symbol);
    let read = |row: &rusqlite::Row<'_>| {
        let levels = row.get::<_, Doc<Vec<(String, Price)>>>(1)?.0;
        Ok(Outlook { structure: row.get(0)?, levels })
    };
    connection.prepare_cached(sql)?.query_row(key, read).optional()
}

fn named_level(levels: &[(String, Price)], names: &[&str]) -> Option<f64> {
    let found = levels.iter().find(|(name, _)| names.contains(&name.as_str()));
    found.map(|(_, price)| rupees(*price))
}

/// Whether the candle was large; `None` when another reason came first.
fn significance(decision: &Decision) -> Option<bool> {
    match decision.verdict {
        Verdict::Enter => Some(true),
        Verdict::Rejected | Verdict::Quiet => {
            (decision.reason == reason::NOT_SIGNIFICANT).then_some(false)
        }
    }
}

fn rupees(price: Price) -> f64 {
    price.to_f64_rupees()
}

fn money(amount: Money) -> f64 {
    amount.to_f64_rupees()
}

fn percent(part: u32, whole: u32) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (f64::from(part) * 10_000.0 / f64::from(whole)).round() / 100.0
}

fn size_percent(open: Price, close: Price) -> f64 {
    if open <= Price::ZERO {
        return 0.0;
    }
    let share = (close.paise() - open.paise()).abs() as f64 / open.paise() as f64;
    (share * 1_000_000.0).round() / 10_000.0
}
