//! Everybody and everything else: the weather, the user with the Kite app,
//! operators, and the broker's own risk department.

use chrono::TimeDelta;

use super::books::Owner;
use super::day::SimError;
use super::due::Due;
use super::fault::FaultKind;
use super::world::World;
use crate::engine::event::OperatorAction;
use crate::market::{
    InstrumentKey, OrderRequest, OrderType, Price, Product, Quantity, Side, Tag, Timestamp,
};

/// How much a second counts in which something is at stake, and any other
/// tick, in hundredths.
const BUSY_WEIGHT: i64 = 250;
const IDLE_WEIGHT: i64 = 50;
/// After a silence this long the ticker takes the connection for dead.
const WATCHDOG_MS: i64 = 10_000;

/// Units of a flood where the exchange knows no freeze limit, before they are
/// made more.
const FLOOD_MIN: Quantity = 400;

const TROUBLES: [FaultKind; 20] = [
    FaultKind::RateLimited,
    FaultKind::StaticIp,
    FaultKind::TokenDeath,
    FaultKind::PartialFill,
    FaultKind::WsDrop,
    FaultKind::FeedMute,
    FaultKind::StaleInstrument,
    FaultKind::ClockForward,
    FaultKind::ClockBackward,
    FaultKind::CommitFails,
    FaultKind::Crash,
    FaultKind::ManualSale,
    FaultKind::ManualPurchase,
    FaultKind::ManualCancel,
    FaultKind::ForeignOrder,
    FaultKind::RmsSquareOff,
    FaultKind::OperatorPanic,
    FaultKind::OperatorDisable,
    FaultKind::OperatorEnable,
    FaultKind::OperatorExit,
];

impl World {
    /// Now and then something larger happens.
    pub(super) fn trouble(&mut self) -> Result<(), SimError> {
        let weight = if self.is_busy() { BUSY_WEIGHT } else { IDLE_WEIGHT };
        for kind in TROUBLES {
            if self.strikes(kind, weight) {
                self.trouble_of(kind)?;
            }
        }
        Ok(())
    }

    fn trouble_of(&mut self, kind: FaultKind) -> Result<(), SimError> {
        let span = self.people.millis(2_000, 90_000);
        let life = self.life;
        match kind {
            FaultKind::RateLimited => self.weather.rate_limited = self.now + span / 4,
            FaultKind::StaticIp => self.weather.wrong_address = self.now + span,
            FaultKind::TokenDeath if !self.weather.session_dead => {
                self.weather.session_dead = true;
                let after = self.people.millis(800, 5_000);
                self.later(TimeDelta::milliseconds(300), Due::Disconnect { life });
                self.later(after, Due::LoginNeeded { life });
                let after = TimeDelta::seconds(self.people.between(20, 1_200));
                self.later(after, Due::LogIn);
            }
            FaultKind::PartialFill => self.market.thin_until = self.now + span / 2,
            FaultKind::WsDrop if self.connected => {
                self.later(TimeDelta::zero(), Due::Disconnect { life });
                self.later(span, Due::Connect { life });
            }
            FaultKind::FeedMute if self.connected => {
                self.weather.mute = self.now + span;
                if span.num_milliseconds() > WATCHDOG_MS {
                    self.later(TimeDelta::milliseconds(WATCHDOG_MS), Due::Disconnect { life });
                    self.later(span, Due::Connect { life });
                }
            }
            FaultKind::StaleInstrument => {
                let held = self.books.open_keys().first().cloned();
                let signal = self.market.signal().clone();
                let which = held.filter(|_| self.people.percent(60)).unwrap_or(signal);
                self.weather.stale = Some((which, self.now + span));
            }
            FaultKind::ClockForward => self.set_clock(span),
            FaultKind::ClockBackward => self.set_clock(-span),
            FaultKind::CommitFails => {
                let Some(kernel) = &self.kernel else { return Ok(()) };
                kernel.journal().store().fail_writes(true)?;
            }
            FaultKind::Crash => return self.crash(),
            FaultKind::ManualSale => {
                self.manual_sale();
                return Ok(());
            }
            FaultKind::ManualPurchase => {
                self.manual_purchase();
                return Ok(());
            }
            FaultKind::ManualCancel => {
                self.manual_cancel();
                return Ok(());
            }
            FaultKind::ForeignOrder => {
                self.foreign_order();
                return Ok(());
            }
            FaultKind::RmsSquareOff => {
                self.rms();
                return Ok(());
            }
            FaultKind::OperatorPanic => self.operator(OperatorAction::Panic { all: false }),
            FaultKind::OperatorDisable => self.operator(OperatorAction::Disable),
            FaultKind::OperatorExit => self.operator(OperatorAction::Exit),
            FaultKind::OperatorEnable => {
                let confirmed = self.people.percent(60);
                self.operator(OperatorAction::Enable { confirmed });
            }
            FaultKind::TokenDeath
            | FaultKind::WsDrop
            | FaultKind::FeedMute
            | FaultKind::RequestDropped
            | FaultKind::ResponseLost
            | FaultKind::ServerError
            | FaultKind::TimedOutButLive
            | FaultKind::ResponseDelayed
            | FaultKind::MarginShort
            | FaultKind::TokenDeadAtSix
            | FaultKind::RejectedAfterAccept
            | FaultKind::ModifyRejected
            | FaultKind::CancelLosesRace
            | FaultKind::PendingStuck
            | FaultKind::UpdateDropped
            | FaultKind::UpdateDuplicated
            | FaultKind::UpdateReordered
            | FaultKind::UpdateLate
            | FaultKind::OrdersReadFails
            | FaultKind::OrdersReadPartial
            | FaultKind::PositionsReadFails
            | FaultKind::PositionsStale
            | FaultKind::FreezeSlicing => return Ok(()),
        }
        self.hit(kind, &format!("span {} s", span.num_seconds()));
        Ok(())
    }

    fn crash(&mut self) -> Result<(), SimError> {
        let count = u32::try_from(self.people.between(1, 4)).unwrap_or(1);
        match self.people.below(3) {
            0 => {
                self.hit(FaultKind::Crash, "the process dies");
                return self.die();
            }
            1 => self.weather.dies_after_commits = Some(count),
            _ => self.weather.dies_after_sends = Some(count),
        }
        self.hit(FaultKind::Crash, "the process dies soon");
        Ok(())
    }

    fn operator(&mut self, action: OperatorAction) {
        let stops = matches!(action, OperatorAction::Panic { .. } | OperatorAction::Disable);
        self.later(TimeDelta::zero(), Due::Ask(action));
        if stops && self.people.percent(80) {
            let after = TimeDelta::seconds(self.people.between(60, 1_500));
            self.later(after, Due::Ask(OperatorAction::Enable { confirmed: true }));
        }
    }

    /// An instrument of which units of the bot are held.
    fn held(&self) -> Option<InstrumentKey> {
        self.books.bot_keys().find(|key| self.books.held(key) != 0).cloned()
    }

    fn request(
        key: &InstrumentKey,
        side: Side,
        quantity: Quantity,
        price: Price,
    ) -> Option<OrderRequest> {
        Some(OrderRequest {
            instrument: key.clone(),
            side,
            order_type: OrderType::Limit,
            product: Product::Mis,
            quantity,
            price,
            trigger: None,
            tag: Tag::new("none")?,
        })
    }

    fn trade(&mut self, key: &InstrumentKey, side: Side, quantity: Quantity, owner: Owner) {
        let Some(quote) = self.market.quote(key) else { return };
        let touch = match side {
            Side::Buy => quote.ask,
            Side::Sell => quote.bid,
        };
        let price = touch.map_or(quote.last, |level| level.price);
        let Some(request) = World::request(key, side, quantity, price) else { return };
        let traded = self.books.trade_at_once(self.now, &request, owner, price.paise());
        if let Some(index) = traded {
            self.tell(index);
        }
    }

    pub(super) fn manual_sale(&mut self) {
        let Some(key) = self.held() else { return };
        let held = self.books.held(&key);
        let lot = self.market.instrument(&key).map_or(1, |row| row.lot.max(1));
        let lots = held.abs() / lot;
        if lots < 1 {
            return;
        }
        let quantity =
            if self.people.percent(60) { held.abs() } else { self.people.between(1, lots) * lot };
        let side = if held > 0 { Side::Sell } else { Side::Buy };
        self.hit(FaultKind::ManualSale, &format!("{} {quantity} {}", side.as_str(), key.symbol));
        self.trade(&key, side, quantity, Owner::User);
    }

    fn manual_purchase(&mut self) {
        let Some(key) = self.held() else { return };
        // Right after a sale nobody could say whose units these are.
        let lately = |at: Timestamp| self.now - at < TimeDelta::minutes(10);
        if self.books.outside.get(&key).is_some_and(|outside| lately(outside.at)) {
            return;
        }
        let side = if self.books.held(&key) > 0 { Side::Buy } else { Side::Sell };
        let lot = self.market.instrument(&key).map_or(1, |row| row.lot.max(1));
        self.hit(FaultKind::ManualPurchase, &format!("{} {lot} {}", side.as_str(), key.symbol));
        self.trade(&key, side, lot, Owner::User);
    }

    fn manual_cancel(&mut self) {
        let live: Vec<usize> = (0..self.books.orders.len())
            .filter(|index| {
                let order = &self.books.orders[*index];
                order.is_live() && order.owner == Owner::Bot && !self.is_pending(*index)
            })
            .collect();
        let Some(index) = live.first().copied() else { return };
        self.hit(FaultKind::ManualCancel, "the user cancels an order of the bot");
        self.books.kill(self.now, index);
        self.tell(index);
    }

    fn foreign_order(&mut self) {
        let held = self.held();
        let Some(key) = self.market.another(held.as_ref()) else { return };
        if self.books.bot_net(&key) != 0
            || self.books.orders.iter().any(|order| order.is_live() && order.row.instrument == key)
        {
            return;
        }
        let lot = self.market.instrument(&key).map_or(1, |row| row.lot.max(1));
        let side = if self.books.net(&key) > 0 { Side::Sell } else { Side::Buy };
        self.hit(FaultKind::ForeignOrder, &format!("{} {lot} {}", side.as_str(), key.symbol));
        self.trade(&key, side, lot, Owner::User);
    }

    /// The broker closes what is open: the bot's orders first.
    fn rms(&mut self) {
        let Some(key) = self.held() else { return };
        self.hit(FaultKind::RmsSquareOff, &key.symbol);
        self.close_out(&key);
    }

    fn close_out(&mut self, key: &InstrumentKey) {
        for index in 0..self.books.orders.len() {
            if self.books.orders[index].row.instrument == *key && self.books.kill(self.now, index) {
                self.tell(index);
            }
        }
        let net = self.books.net(key);
        if net != 0 {
            let side = if net > 0 { Side::Sell } else { Side::Buy };
            self.trade(key, side, net.abs(), Owner::Rms);
        }
    }

    /// Once a day the broker closes whatever is intraday.
    pub(super) fn square_off(&mut self) {
        let at = super::plan::at(self.plan.settings.schedule.broker_square_off);
        if self.rms_done || self.now < at {
            return;
        }
        self.rms_done = true;
        for key in self.books.open_keys() {
            self.tell_story(|| format!("the broker squares off {}", key.symbol));
            self.close_out(&key);
        }
    }

    /// More units than one order may carry, then a panic over all.
    pub(super) fn flood(&mut self) {
        if self.now >= self.heal {
            return;
        }
        let held = self.held();
        let Some(key) = self.market.another(held.as_ref()) else { return };
        if self.books.bot_keys().any(|known| *known == key) {
            return;
        }
        let lot = self.market.instrument(&key).map_or(1, |row| row.lot.max(1));
        let units = (self.books.freeze.max(FLOOD_MIN) * 5 / 2) / lot * lot;
        self.hit(FaultKind::FreezeSlicing, &format!("{units} {}", key.symbol));
        self.trade(&key, Side::Buy, units, Owner::User);
        self.later(TimeDelta::seconds(20), Due::Ask(OperatorAction::Panic { all: true }));
    }
}
