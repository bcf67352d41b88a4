//! Whole trades with their numbers: signal, contract, orders, charges.

use super::fixture::*;
use super::rig::Rig;
use crate::engine::Permission;
use crate::engine::event::OperatorAction;
use crate::engine::ledger::{Direction, ExitReason};
use crate::market::{InstrumentKey, Side};

pub(super) fn s1_rig() -> (Rig, InstrumentKey) {
    let breakout = candle("10:00", ["81265", "81345", "81258", "81335"]);
    let long = signal(&index(), Direction::Long, breakout, "81258", ("81550", "81900"));
    let mut rig = Rig::new(plan(Market::Sensex), vec![long]);
    let key = option("SENSEX26NOV81300CE");
    rig.run_to("10:03");
    rig.spot("81335");
    rig.book(&key, "411.60", "411.20", "412.00");
    rig.close_candle(breakout);
    (rig, key)
}

/// S1 up to the resting stop.
pub(super) fn s1_open() -> (Rig, InstrumentKey) {
    let (mut rig, key) = s1_rig();
    let entry = rig.last_id();
    rig.fill(&entry, 20, "412.00");
    (rig, key)
}

#[test]
fn s1_winner_first_and_second_target() {
    let (mut rig, key) = s1_rig();
    assert_eq!(rig.sent_text(), ["BUY 20 LIMIT 414.05"]);
    let decision = rig.last_decision();
    assert!(decision.numbers.contains(&("loss_per_lot".into(), "1,048.50".into())));
    let entry = rig.last_id();
    rig.fill(&entry, 20, "412.00");
    assert_eq!(rig.sent_text()[1..], ["SELL 20 SL 288.40 259.55"]);
    assert_eq!(rig.last_trade().resting_stop, Some(p("288.40")));
    rig.run_to("10:27:12");
    rig.spot("81552.10");
    assert_eq!(rig.last_trade().stop, p("81335"));
    rig.run_to("11:36:20");
    rig.book_ref(&key, "668.80", "668.20", "669.00");
    rig.spot("81903.50");
    assert_eq!(rig.sent_text()[2..], ["modify LIMIT 664.85"]);
    let exit = rig.last_id();
    rig.fill(&exit, 20, "668.20");
    let trade = rig.last_trade();
    assert_eq!(trade.exit_reason, Some(ExitReason::Target));
    assert_eq!((trade.gross, trade.charges, trade.net()), (m("5124"), m("75.51"), m("5048.49")));
    assert_eq!(rig.engine.figures().realised, m("5048.49"));
    assert_eq!(*rig.told.lock().unwrap(), ["closed R1 TARGET"]);
    assert!(!rig.engine.busy());
    rig.check_replay();
}

#[test]
fn s2_two_losses_end_the_entries_of_the_day() {
    let first = candle("10:12", ["80752", "80760", "80660", "80668"]);
    let second = candle("10:39", ["80730", "80735", "80640", "80650"]);
    let third = candle("11:30", ["80360", "80365", "80310", "80312"]);
    let short = |candle, stop, targets| signal(&index(), Direction::Short, candle, stop, targets);
    let signals = vec![
        short(first, "80760", ("80350", "80100")),
        short(second, "80735", ("80350", "80100")),
        short(third, "80380", ("80100", "79850")),
    ];
    let mut rig = Rig::new(plan(Market::Sensex), signals);
    let key = option("SENSEX26NOV80700PE");
    rig.run_to("10:15");
    rig.spot("80668");
    rig.book(&key, "398.20", "397.80", "398.50");
    rig.close_candle(first);
    let entry = rig.last_id();
    rig.fill(&entry, 20, "398.50");
    rig.run_to("10:20:40");
    rig.book_ref(&key, "350.00", "349.10", "349.80");
    rig.spot("80761.30");
    let exit = rig.last_id();
    rig.fill(&exit, 20, "349.10");
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::StopLoss));
    assert_eq!(rig.last_trade().net(), m("-1050.95"));
    rig.run_to("10:42");
    rig.spot("80650");
    rig.book(&key, "402.00", "401.60", "402.30");
    rig.close_candle(second);
    let entry = rig.last_id();
    rig.fill(&entry, 20, "402.30");
    rig.run_to("10:51:07");
    rig.book_ref(&key, "363.10", "362.60", "363.40");
    rig.spot("80736");
    let exit = rig.last_id();
    rig.fill(&exit, 20, "361.75");
    assert_eq!(rig.last_trade().net(), m("-875.09"));
    assert_eq!(
        rig.sent_text(),
        [
            "BUY 20 LIMIT 400.45",
            "SELL 20 SL 278.95 251.05",
            "modify LIMIT 347.35",
            "BUY 20 LIMIT 404.30",
            "SELL 20 SL 281.60 253.40",
            "modify LIMIT 360.75"
        ]
    );
    assert_eq!(rig.engine.figures().net, m("-1926.04"));
    rig.run_to("11:33");
    rig.spot("80312");
    rig.close_candle(third);
    assert_eq!(rig.last_decision().reason, "MAX_CONSEC_LOSSES");
    assert_eq!(rig.sent.len(), 6);
    rig.check_replay();
}

#[test]
fn s5_partial_entry_and_rejected_exit() {
    let mut plan = plan(Market::Nifty);
    plan.settings.risk.max_lots = 2;
    plan.settings.risk.trade_risk_budget = m("4000");
    plan.settings.risk.max_spread = p("2");
    let nifty = plan.signal.key.clone();
    let breakout = candle("09:42", ["25132", "25168", "25128", "25163"]);
    let targets = ("25233.33", "25346.67");
    let long = signal(&nifty, Direction::Long, breakout, "25128", targets);
    let mut rig = Rig::new(plan, vec![long]);
    let key = InstrumentKey::new(crate::market::Exchange::Nfo, "NIFTY26NOV25150CE");
    rig.run_to("09:45");
    rig.spot("25163");
    rig.book(&key, "142.35", "142.10", "142.60");
    rig.close_candle(breakout);
    let entry = rig.last_id();
    rig.run_to("09:45:04");
    rig.fill(&entry, 65, "142.60");
    rig.run_to("09:45:20");
    assert_eq!(rig.sent_text(), ["BUY 130 LIMIT 143.30", "SELL 65 SL 99.80 89.80", "cancel"]);
    rig.spot("25234");
    assert_eq!(rig.last_trade().stop, p("25163"));
    // The exchange rejects the changed order for its price.
    rig.run_to("10:10");
    rig.book_ref(&key, "140.00", "139.80", "140.20");
    rig.answers.hints = false;
    rig.spot("25162.90");
    let stop = rig.last_id();
    rig.broker.reject(rig.at, &stop, "LPP range");
    rig.book_ref(&key, "140.00", "139.60", "140.20");
    let row = rig.broker.row(&stop).cloned().unwrap();
    rig.answers.hints = true;
    rig.send(crate::engine::Event::Order(row));
    assert_eq!(rig.sent_text()[3..], ["modify LIMIT 139.10", "SELL 65 LIMIT 136.80"]);
    assert_eq!(rig.broker.working(&key, Side::Sell), 65);
    rig.run_to("10:10:02.9");
    rig.book_ref(&key, "140.00", "139.20", "140.20");
    rig.run_to("10:10:03");
    assert_eq!(rig.sent_text()[5..], ["modify 132.20"]);
    let exit = rig.last_id();
    rig.fill(&exit, 65, "139.20");
    let trade = rig.last_trade();
    assert_eq!((trade.gross, trade.charges, trade.net()), (m("-221"), m("68.91"), m("-289.91")));
    assert_eq!(rig.engine.figures().trades, 1);
    assert_eq!(rig.broker.lowest, 0);
    rig.check_replay();
}

/// S6 up to the second position, at 20 × 560.00.
fn s6_rig() -> (Rig, InstrumentKey) {
    let first = candle("10:12", ["80752", "80760", "80660", "80668"]);
    let second = candle("11:00", ["80730", "80735", "80640", "80650"]);
    let short = |candle, stop, targets| signal(&index(), Direction::Short, candle, stop, targets);
    let signals =
        vec![short(first, "80760", ("80350", "80100")), short(second, "80735", ("80350", "80100"))];
    let mut plan = plan(Market::Sensex);
    plan.settings.risk.max_daily_loss = m("3000");
    let mut rig = Rig::new(plan, signals);
    let key = option("SENSEX26NOV80700PE");
    rig.run_to("10:15");
    rig.spot("80668");
    rig.book(&key, "398.20", "397.80", "398.50");
    rig.close_candle(first);
    let entry = rig.last_id();
    rig.fill(&entry, 20, "398.50");
    rig.run_to("10:20:40");
    rig.book_ref(&key, "350.00", "349.10", "349.80");
    rig.spot("80761.30");
    let exit = rig.last_id();
    rig.fill(&exit, 20, "349.10");
    assert_eq!(rig.engine.figures().net, m("-1050.95"));
    rig.run_to("11:03");
    rig.spot("80650");
    rig.book(&key, "559.80", "559.40", "560.00");
    rig.close_candle(second);
    let entry = rig.last_id();
    rig.fill(&entry, 20, "560.00");
    assert_eq!(rig.sent_text().last().unwrap(), "SELL 20 SL 392.00 352.80");
    rig.run_to("11:10");
    rig.book_ref(&key, "480.50", "480.00", "480.50");
    assert_eq!(rig.engine.figures().net, m("-2720.15"));
    (rig, key)
}

#[test]
fn s6_daily_loss_on_unrealised() {
    let (mut rig, key) = s6_rig();
    rig.book_ref(&key, "470.20", "470.00", "470.50");
    assert_eq!(rig.engine.figures().net, m("-2920.08"));
    assert_eq!(rig.sent.len(), 5);
    rig.book_ref(&key, "466.20", "466.00", "466.50");
    assert_eq!(rig.sent_text()[5..], ["modify LIMIT 463.65"]);
    assert_eq!(rig.engine.permission().reason, "DAILY_LOSS");
    let exit = rig.last_id();
    rig.fill(&exit, 20, "464.10");
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::Risk));
    assert_eq!(rig.last_trade().net(), m("-1987.08"));
    assert_eq!(rig.engine.figures().net, m("-3038.03"));
    assert_eq!(rig.engine.permission().permission, Permission::Halted);
    let (done, text) = rig.ask(OperatorAction::Enable { confirmed: true });
    assert!(!done, "{text}");
    rig.restart();
    assert_eq!(rig.engine.permission().reason, "DAILY_LOSS");
    rig.check_replay();
}

#[test]
fn s6_the_resting_stop_wins_the_race() {
    let (mut rig, key) = s6_rig();
    let stop = rig.last_id();
    // The stop fills at the exchange, and nobody tells before the change.
    rig.broker.fill(rig.at, &stop, 20, p("388.40"));
    rig.book_ref(&key, "389.00", "388.00", "389.00");
    assert_eq!(rig.sent_text()[5..].len(), 1, "one change, no second sale");
    let trade = rig.last_trade();
    assert_eq!(trade.exit_reason, Some(ExitReason::CatastropheSl));
    assert_eq!(trade.net(), m("-3498.49"));
    assert_eq!(rig.engine.figures().net, m("-4549.44"));
    assert_eq!(rig.engine.permission().permission, Permission::Halted);
    assert_eq!(rig.broker.lowest, 0);
    rig.check_replay();
}

/// S7 up to 15:10: 20 × 288.00, runner since 14:40.
fn s7_rig() -> (Rig, InstrumentKey) {
    let breakout = candle("14:18", ["81265", "81345", "81258", "81335"]);
    let mut long = signal(&index(), Direction::Long, breakout, "81258", ("81550", "81900"));
    long.time_stop_candles = None;
    let mut rig = Rig::new(plan(Market::Sensex), vec![long]);
    let key = option("SENSEX26NOV81300CE");
    rig.run_to("14:21");
    rig.spot("81335");
    rig.book(&key, "287.80", "287.40", "288.00");
    rig.close_candle(breakout);
    let entry = rig.last_id();
    rig.fill(&entry, 20, "288.00");
    assert_eq!(rig.sent_text(), ["BUY 20 LIMIT 289.40", "SELL 20 SL 201.60 181.40"]);
    rig.run_to("14:40");
    rig.spot("81551");
    rig.run_to("15:09:59");
    rig.book_ref(&key, "306.00", "305.60", "306.40");
    (rig, key)
}

#[test]
fn s7_flattens_by_the_ladder() {
    let (mut rig, key) = s7_rig();
    rig.run_to("15:10");
    rig.book_ref(&key, "305.50", "304.90", "306.00");
    rig.run_to("15:10:03");
    rig.book_ref(&key, "304.80", "303.80", "305.00");
    rig.run_to("15:10:06");
    let exits = ["modify LIMIT 304.05", "modify 298.80", "modify 288.60"];
    assert_eq!(rig.sent_text()[2..], exits);
    let exit = rig.last_id();
    rig.fill(&exit, 20, "303.80");
    let trade = rig.last_trade();
    assert_eq!(trade.exit_reason, Some(ExitReason::Eod));
    assert_eq!((trade.gross, trade.charges, trade.net()), (m("316"), m("60.75"), m("255.25")));
    rig.run_to("16:00");
    let summaries = rig.headlines().iter().filter(|line| line.starts_with("Day ")).count();
    assert_eq!(summaries, 1);
    assert_eq!(rig.broker.working(&key, Side::Sell), 0);
    assert_eq!(rig.engine.next_deadline(), None);
    rig.check_replay();
}

#[test]
fn s7_the_broker_squares_off_when_nothing_gets_through() {
    let (mut rig, key) = s7_rig();
    rig.answers.dead = true;
    rig.run_to("15:13:59");
    assert!(rig.sent_text().iter().filter(|text| text.starts_with("SELL")).count() == 1);
    rig.run_to("15:14:01");
    assert!(rig.headlines().iter().any(|line| line.starts_with("One minute to go and NOT FLAT")));
    rig.run_to("15:23:59");
    rig.answers.dead = false;
    rig.answers.refuse_modifies.extend(vec![crate::engine::event::Refusal::Order; 40]);
    rig.run_to("15:24:02");
    assert_eq!(rig.sent_text().last().unwrap(), "cancel");
    assert_eq!(rig.broker.working(&key, Side::Sell), 0);
    let sent = rig.sent.len();
    rig.run_to("15:25:10");
    rig.broker.foreign(rig.at, &key, Side::Sell, 20, p("303.80"));
    rig.run_to("15:26");
    assert_eq!(rig.sent.len(), sent, "{:?}", rig.sent_text());
    let trade = rig.last_trade();
    assert_eq!(trade.exit_reason, Some(ExitReason::BrokerSquareOff));
    assert_eq!(trade.charges, m("60.75") + m("59"));
    assert_eq!(rig.broker.lowest, 0);
    rig.run_to("16:00");
    rig.check_replay();
}

#[test]
fn s8_manual_sale_and_restart() {
    let mut plan = plan(Market::Sensex);
    plan.settings.risk.max_lots = 2;
    plan.settings.risk.trade_risk_budget = m("4000");
    let breakout = candle("10:00", ["81265", "81345", "81258", "81335"]);
    let mut long = signal(&index(), Direction::Long, breakout, "81258", ("81550", "81900"));
    long.time_stop_candles = None;
    let mut rig = Rig::new(plan, vec![long]);
    let key = option("SENSEX26NOV81300CE");
    rig.run_to("10:03");
    rig.spot("81335");
    rig.book(&key, "409.80", "409.40", "410.00");
    rig.close_candle(breakout);
    let entry = rig.last_id();
    rig.fill(&entry, 40, "410.00");
    assert_eq!(rig.sent_text(), ["BUY 40 LIMIT 412.05", "SELL 40 SL 287.00 258.30"]);
    rig.run_to("10:20");
    let row = rig.broker.foreign(rig.at, &key, Side::Sell, 20, p("452.00"));
    rig.send(crate::engine::Event::Order(row));
    rig.run_to("10:20:02");
    assert_eq!(rig.sent_text()[2..], ["modify qty 20"], "at {}", rig.time());
    assert!(
        rig.said
            .iter()
            .any(|notice| notice.fields.contains(&("Event".into(), "EXTERNAL_EXIT".into())))
    );
    rig.restart();
    assert_eq!(rig.engine.permission().permission, Permission::Active);
    assert_eq!(rig.sent.len(), 3, "no order is doubled by a restart");
    let position = rig.engine.open_position().unwrap();
    assert_eq!((position.quantity, position.stop), (20, p("81258")));
    assert_eq!(position.resting_stop, Some(p("287.00")));
    rig.run_to("10:50");
    rig.book_ref(&key, "472.00", "471.50", "472.30");
    rig.spot("81903.50");
    let exit = rig.last_id();
    rig.fill(&exit, 20, "471.50");
    let trade = rig.last_trade();
    assert_eq!((trade.gross, trade.charges, trade.net()), (m("2070"), m("112.20"), m("1957.80")));
    assert_eq!((rig.broker.held(&key), rig.broker.lowest), (0, 0));
    rig.check_replay();
}
