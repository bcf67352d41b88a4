//! Tells when another service falls silent in market hours, and when it is
//! back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveTime, TimeDelta};
use tokio::time::Instant;

use super::html::Page;
use super::serve::Bot;
use crate::market::Timestamp;
use crate::market::calendar::{Calendar, DayKind};
use crate::market::time::{hms, ist, ist_date, ist_time};
use crate::store::Heartbeat;

/// How often the signs of life are read, in real time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Silence in market time that is told of.
const SILENT_AFTER: TimeDelta = TimeDelta::seconds(30);

/// Silence in real time besides: a fast clock leaves less for a beat.
const SILENT_REAL: Duration = Duration::from_secs(5);

/// The hours in which services are expected to live.
const FROM: NaiveTime = hms(8, 15, 0);
const TO: NaiveTime = hms(15, 45, 0);

/// Services that are watched; the bot is watched by others.
const WATCHED: [&str; 2] = ["auth", "trading"];

#[derive(Debug)]
struct Seen {
    at: Timestamp,
    looked_at: Instant,
    silent: bool,
}

/// Watches for ever.
pub(super) async fn watch(bot: Arc<Bot>) {
    let calendar = Calendar::india();
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match bot.reader.run(|store| store.heartbeats()).await {
            Ok(beats) => {
                let expected = is_market_time(&calendar, bot.clock.now());
                let watched = beats.iter().filter(|beat| WATCHED.contains(&beat.service.as_str()));
                for beat in watched {
                    if let Some(page) = judge(&bot, &mut seen, beat, expected) {
                        bot.tell_owner(page);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot watch");
            }
        }
    }
}

fn is_market_time(calendar: &Calendar, now: Timestamp) -> bool {
    let open = match calendar.day(ist_date(now)) {
        DayKind::Trading(_) | DayKind::Unknown => true,
        DayKind::Closed(_) | DayKind::Special(_) => false,
    };
    open && (FROM..TO).contains(&ist_time(now))
}

fn judge(
    bot: &Bot,
    seen: &mut BTreeMap<String, Seen>,
    beat: &Heartbeat,
    expected: bool,
) -> Option<Page> {
    let fresh = Seen { at: beat.at, looked_at: Instant::now(), silent: false };
    let known = seen.entry(beat.service.clone()).or_insert(fresh);
    let page = || Page::new(bot.mode);
    if known.at != beat.at {
        known.at = beat.at;
        known.looked_at = Instant::now();
        let was_silent = std::mem::replace(&mut known.silent, false);
        return was_silent.then(|| {
            page()
                .title(format!("✅ pivot-{} is back", beat.service))
                .line(format!("Phase: {}", beat.phase))
        });
    }
    let silence = bot.clock.now() - beat.at;
    let silent = silence > SILENT_AFTER && known.looked_at.elapsed() > SILENT_REAL;
    if !expected || !silent || known.silent {
        return None;
    }
    known.silent = true;
    let last = ist(beat.at).format("%-d %b %H:%M:%S");
    let page = page()
        .title(format!("🚨 pivot-{} is silent", beat.service))
        .line(format!("Last sign of life {last} IST, phase {}.", beat.phase));
    Some(match beat.service.as_str() {
        "trading" => page.line(
            "Stops rest at the exchange. /panic flattens without it; /status shows what is open.",
        ),
        _ => page.line("Logins and order hints do not arrive until it is back."),
    })
}
