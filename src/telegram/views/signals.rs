//! `/pivots` and `/why`.

use chrono::NaiveTime;

use super::super::html::Page;
use super::Scene;
use crate::engine::ledger::{Decision, Verdict};
use crate::engine::notice::NoticeKind;
use crate::market::time::ist;
use crate::store::{DecisionQuery, Store, StoreError};

/// Decisions shown when no time is asked for.
const SHOWN: u32 = 5;

/// Decisions of one candle, at most (one for each instrument watched).
const OF_ONE_CANDLE: u32 = 20;

pub(super) fn pivots(
    store: &Store,
    scene: Scene<'_>,
    symbol: Option<&str>,
) -> Result<Page, StoreError> {
    let outlooks = store.outlook(scene.today())?;
    let mut page = scene.page().title(format!("Levels of {}", scene.today()));
    let wanted: Vec<_> = outlooks
        .iter()
        .filter(|outlook| symbol.is_none_or(|symbol| matches(symbol, &outlook.instrument.symbol)))
        .collect();
    if wanted.is_empty() {
        return match symbol {
            Some(symbol) if !outlooks.is_empty() => {
                Ok(page.line(format!("None for {symbol}. The names are shown by /pivots.")))
            }
            Some(_) | None => absent(store, scene, page),
        };
    }
    for outlook in wanted {
        page = page.gap().title(format!("{} · {}", outlook.instrument.symbol, outlook.structure));
        let levels = &outlook.levels;
        page = page.table(levels.iter().map(|(name, price)| format!("{name:<5} {price:>12}")));
        for (name, value) in &outlook.facts {
            page = page.field(name, value);
        }
    }
    Ok(page)
}

/// Why there are no levels: what the day's latest word on it says.
fn absent(store: &Store, scene: Scene<'_>, page: Page) -> Result<Page, StoreError> {
    let posts = store.outbox_of(scene.today())?;
    let mut said = posts.into_iter().map(|post| post.notice);
    let Some(notice) = said.rfind(|notice| notice.kind == NoticeKind::NoTrading) else {
        return Ok(page.line("Not prepared yet: they come before the market opens."));
    };
    let page = page.line(format!("None. {} ({})", notice.headline, ist(notice.at).format("%H:%M")));
    Ok(notice.fields.iter().fold(page, |page, (name, value)| page.field(name, value)))
}

fn matches(wanted: &str, symbol: &str) -> bool {
    let bare = wanted.split_once(':').map_or(wanted, |(_, symbol)| symbol);
    symbol.eq_ignore_ascii_case(bare)
}

pub(super) fn why(
    store: &Store,
    scene: Scene<'_>,
    symbol: Option<&str>,
    time: Option<NaiveTime>,
) -> Result<Page, StoreError> {
    let Some(day) = store.last_decided_day()? else {
        return Ok(scene.page().title("Why").line("No candle was judged yet."));
    };
    let symbol = symbol.map(|text| text.rsplit(':').next().unwrap_or(text).to_string());
    let limit = if time.is_some() { OF_ONE_CANDLE } else { SHOWN };
    let query = DecisionQuery { symbol, time, without_quiet: time.is_none(), limit };
    let mut decisions = store.decisions(day, &query)?;
    let mut page = scene.page().title(format!("Why · {day}"));
    if decisions.is_empty() && time.is_none() {
        page = page.line("No setup so far; the last candle:");
        let last = DecisionQuery { without_quiet: false, limit: 1, ..query };
        decisions = store.decisions(day, &last)?;
    }
    if decisions.is_empty() {
        return Ok(page.line("No candle was judged then."));
    }
    for decision in &decisions {
        page = one(page.gap(), decision);
    }
    Ok(page)
}

fn one(page: Page, decision: &Decision) -> Page {
    let candle = &decision.candle;
    let sign = match decision.verdict {
        Verdict::Quiet => "▫️",
        Verdict::Rejected => "✖️",
        Verdict::Enter => "✅",
    };
    let from = ist(candle.start).format("%H:%M");
    let to = ist(decision.at).format("%H:%M");
    let mut page = page
        .title(format!("{sign} {from}–{to} {} · {}", decision.instrument.symbol, decision.reason))
        .line(format!("O {} H {} L {} C {}", candle.open, candle.high, candle.low, candle.close));
    let view = decision.direction.map(|direction| direction.as_str());
    if let (Some(view), Some(level)) = (view, &decision.level) {
        page = page.line(format!("{view} at {level}"));
    }
    page.table(decision.numbers.iter().map(|(name, value)| format!("{name:<18} {value}")))
}
