//! Which contract is traded on a signal, and how many units.

use chrono::TimeDelta;

use super::Engine;
use super::ledger::Direction;
use super::order_terms;
use super::settings::Ppm;
use super::strategy::{Signal, Vehicle};
use crate::market::contract;
use crate::market::{Instrument, InstrumentKind, Money, Price, Quantity, Quote, Side};

/// Estimated losses are multiplied by this (hundredths): stops slip.
const SLIP_PCT: i64 = 125;
/// Charges of a lot are estimated up to whole steps of this: a plan, not a
/// bill.
const CHARGE_STEP: i64 = 1_000;
/// Money free must exceed what is required by this share.
const FUNDS_MARGIN: Ppm = Ppm(20_000);
/// Share of its value that an intraday share or a future ties up.
const LEVERED_MARGIN: Ppm = Ppm(200_000);
const MILLION: i64 = 1_000_000;

/// An entry that passed every gate.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) contract: Instrument,
    pub(super) side: Side,
    pub(super) quantity: Quantity,
    pub(super) limit: Price,
    pub(super) expected_loss: Money,
    pub(super) expected_gain: Money,
    pub(super) numbers: Vec<(String, String)>,
}

/// Why an entry was refused: the gate and the numbers it compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gate {
    pub(super) code: &'static str,
    pub(super) numbers: Vec<(String, String)>,
    /// True when a quote may still arrive in time.
    pub(super) may_pass: bool,
}

impl Gate {
    pub(super) fn shut(code: &'static str, numbers: &[(&str, String)]) -> Gate {
        let numbers =
            numbers.iter().map(|(name, value)| ((*name).to_string(), value.clone())).collect();
        Gate { code, numbers, may_pass: false }
    }

    fn waiting(code: &'static str, numbers: &[(&str, String)]) -> Gate {
        Gate { may_pass: true, ..Gate::shut(code, numbers) }
    }
}

/// A contract that could be traded, with the delta assumed of it.
struct Candidate {
    contract: Instrument,
    delta: Ppm,
    side: Side,
}

impl Engine {
    /// The contract, the quantity and the price of an entry.
    pub(super) fn choose(&self, signal: &Signal) -> Result<Chosen, Gate> {
        let candidates = self.candidates(signal);
        let mut first: Option<Gate> = None;
        let mut tried = Vec::new();
        for candidate in candidates {
            match self.size(signal, &candidate) {
                Ok(chosen) => return Ok(chosen),
                // Another strike is only tried for want of a market in this one.
                Err(gate) if is_of_the_market(gate.code) => {
                    tried.push((candidate.contract.key.symbol.clone(), gate.code.to_string()));
                    first.get_or_insert(gate);
                }
                Err(gate) => return Err(gate),
            }
        }
        match first {
            Some(mut gate) => {
                if tried.len() > 1 {
                    gate.numbers.extend(tried);
                }
                Err(gate)
            }
            None => Err(Gate::shut("NO_CONTRACT", &[("spot", signal.reference.to_string())])),
        }
    }

    /// At the money, one step in, one step out; or the instrument itself.
    fn candidates(&self, signal: &Signal) -> Vec<Candidate> {
        let Some(plan) = &self.plan else { return Vec::new() };
        let risk = &plan.settings.risk;
        let itself = plan
            .contracts
            .iter()
            .chain(std::iter::once(&plan.signal))
            .find(|row| row.key == signal.instrument);
        let of_itself = |side| {
            let whole = Ppm(MILLION);
            itself.into_iter().map(move |row| Candidate {
                contract: row.clone(),
                delta: whole,
                side,
            })
        };
        match signal.vehicle {
            Vehicle::Itself => {
                let side = match signal.direction {
                    Direction::Long => Side::Buy,
                    Direction::Short => Side::Sell,
                };
                of_itself(side).collect()
            }
            Vehicle::Option if itself.is_some_and(|row| row.kind.option_type().is_some()) => {
                of_itself(Side::Buy).collect()
            }
            Vehicle::Option => {
                let (kind, inwards) = match signal.direction {
                    Direction::Long => (InstrumentKind::Call, -plan.strike_step),
                    Direction::Short => (InstrumentKind::Put, plan.strike_step),
                };
                let earliest = plan.date + TimeDelta::days(i64::from(risk.min_dte));
                let expiry = plan.contracts.iter().filter_map(|row| row.expiry);
                let Some(expiry) = expiry.filter(|expiry| *expiry >= earliest).min() else {
                    return Vec::new();
                };
                let atm = contract::atm(signal.reference, plan.strike_step);
                [
                    (atm, risk.delta_atm),
                    (atm + inwards, risk.delta_itm),
                    (atm - inwards, risk.delta_atm),
                ]
                .into_iter()
                .filter_map(|(strike, delta)| {
                    let row = contract::find(&plan.contracts, expiry, strike, kind)?;
                    Some(Candidate { contract: row.clone(), delta, side: Side::Buy })
                })
                .collect()
            }
        }
    }

    /// Quality of the market in one contract, then the size of the entry.
    fn size(&self, signal: &Signal, candidate: &Candidate) -> Result<Chosen, Gate> {
        let Some(plan) = &self.plan else { return Err(Gate::shut("NO_DAY", &[])) };
        let risk = &plan.settings.risk;
        let contract = &candidate.contract;
        let is_option = contract.kind.option_type().is_some();
        let (quote, spread) = self.healthy_quote(contract, candidate.side)?;
        if is_option && !(risk.min_premium..=risk.max_premium_price).contains(&quote.last) {
            return Err(Gate::shut(
                "PREMIUM_BAND",
                &[
                    ("premium", quote.last.to_string()),
                    ("band", format!("{}..{}", risk.min_premium, risk.max_premium_price)),
                ],
            ));
        }
        let Some(limit) = order_terms::entry(quote, candidate.side, contract.tick, risk) else {
            return Err(Gate::waiting("NO_QUOTE", &[("contract", contract.key.to_string())]));
        };
        let points = (signal.reference - signal.stop).paise().abs();
        let lot = contract.lot.max(1);
        let value = quote.last.max(limit) * lot;
        let product = &plan.settings.product;
        let charges = self.round_trip_charges(&contract.key, contract.kind, product, value);
        let step = if lot > 1 { CHARGE_STEP } else { 1 };
        let charges = (charges.paise() + step - 1) / step * step;
        let slipped = lot * points * SLIP_PCT * candidate.delta.0 / 100 / MILLION;
        let loss_per_lot = (slipped + lot * spread.paise() + charges).max(1);
        let by_budget = risk.trade_risk_budget.paise() / loss_per_lot;
        let by_premium = risk.max_premium.paise() / value.paise().max(1);
        let by_freeze = match (is_option, risk.freeze_quantity) {
            (true, freeze) if freeze > 0 => freeze / lot,
            _ => i64::MAX,
        };
        // A lot of a share is one share; its size follows from risk and value.
        let by_lots = match contract.kind {
            InstrumentKind::Equity => i64::MAX,
            InstrumentKind::Index
            | InstrumentKind::Future
            | InstrumentKind::Call
            | InstrumentKind::Put => i64::from(self.control.limits.lots),
        };
        let by_value = if contract.kind == InstrumentKind::Future { i64::MAX } else { by_premium };
        let lots = by_budget.min(by_value).min(by_freeze).min(by_lots);
        let estimate = Money::from_paise(loss_per_lot);
        if lots < 1 {
            return Err(Gate::shut(
                "RISK_TOO_LARGE",
                &[
                    ("loss_per_lot", estimate.grouped()),
                    ("budget", risk.trade_risk_budget.grouped()),
                    ("value_per_lot", value.grouped()),
                    ("most", risk.max_premium.grouped()),
                ],
            ));
        }
        let quantity = lots * lot;
        if quote_depth(quote, candidate.side) < quantity * i64::from(risk.min_depth_multiple) {
            return Err(Gate::shut(
                "ILLIQUID",
                &[
                    ("contract", contract.key.symbol.clone()),
                    ("depth", quote_depth(quote, candidate.side).to_string()),
                    ("needed", (quantity * i64::from(risk.min_depth_multiple)).to_string()),
                ],
            ));
        }
        let chosen = Chosen {
            contract: contract.clone(),
            side: candidate.side,
            quantity,
            limit,
            expected_loss: Money::from_paise(loss_per_lot * lots),
            expected_gain: self.expected_gain(signal, candidate.delta, quantity),
            numbers: vec![
                ("contract".into(), contract.key.symbol.clone()),
                ("lots".into(), lots.to_string()),
                ("limit".into(), limit.to_string()),
                ("loss_per_lot".into(), estimate.grouped()),
                ("spread".into(), spread.to_string()),
            ],
        };
        self.affordable(signal, candidate, &chosen)?;
        Ok(chosen)
    }

    /// Money: funds, what is left of the day's limit, and whether the trade
    /// can earn its charges.
    fn affordable(
        &self,
        signal: &Signal,
        candidate: &Candidate,
        chosen: &Chosen,
    ) -> Result<(), Gate> {
        let Some(plan) = &self.plan else { return Err(Gate::shut("NO_DAY", &[])) };
        let risk = &plan.settings.risk;
        let value = chosen.limit * chosen.quantity;
        let is_option = chosen.contract.kind.option_type().is_some();
        let tied = if is_option { Ppm(MILLION) } else { LEVERED_MARGIN };
        let required = share_of(share_of(value, tied), Ppm(MILLION + FUNDS_MARGIN.0));
        let available = self.sync.available.unwrap_or(plan.available);
        if available < required {
            let numbers = [("available", available.grouped()), ("required", required.grouped())];
            return Err(Gate::shut("FUNDS", &numbers));
        }
        let left = self.day_net() + self.control.limits.daily_loss;
        if left < chosen.expected_loss {
            return Err(Gate::shut(
                "DAILY_LOSS_HEADROOM",
                &[("left", left.grouped()), ("expected_loss", chosen.expected_loss.grouped())],
            ));
        }
        let product = &plan.settings.product;
        let contract = &candidate.contract;
        let charges = self.round_trip_charges(&contract.key, contract.kind, product, value);
        let needed = Money::from_paise(charges.paise() * i64::from(risk.min_edge_multiple));
        let gain = self.expected_gain(signal, candidate.delta, chosen.quantity);
        if gain < needed {
            let numbers = [("gain", gain.grouped()), ("needed", needed.grouped())];
            return Err(Gate::shut("EDGE_TOO_SMALL", &numbers));
        }
        Ok(())
    }

    fn expected_gain(&self, signal: &Signal, delta: Ppm, quantity: Quantity) -> Money {
        let goal = signal.first_target.unwrap_or(signal.target);
        let points = (goal - signal.reference).paise().abs();
        share_of(Money::from_paise(points * quantity), delta)
    }

    /// A quote that is fresh and tight, with its spread.
    fn healthy_quote(&self, contract: &Instrument, side: Side) -> Result<(&Quote, Price), Gate> {
        let name = || ("contract", contract.key.symbol.clone());
        let Some(plan) = &self.plan else { return Err(Gate::shut("NO_DAY", &[])) };
        let risk = &plan.settings.risk;
        let Some(quote) = self.quotes.get(&contract.key) else {
            return Err(Gate::waiting("NO_QUOTE", &[name()]));
        };
        let age = self.now.at - quote.at;
        if age > TimeDelta::seconds(i64::from(risk.option_stale_s)) {
            let age = format!("{} s", age.num_seconds());
            return Err(Gate::waiting("OPTION_STALE", &[name(), ("age", age)]));
        }
        let (Some(spread), Some(mid)) = (quote.spread(), quote.mid()) else {
            return Err(Gate::waiting("NO_QUOTE", &[name()]));
        };
        let wide = Price::from_paise(
            share_of(Money::from_paise(mid.paise()), risk.max_spread_pct).paise(),
        );
        if spread.paise() < 0 || spread > wide || spread > risk.max_spread {
            return Err(Gate::shut(
                "ILLIQUID",
                &[
                    name(),
                    ("spread", spread.to_string()),
                    ("most", wide.min(risk.max_spread).to_string()),
                ],
            ));
        }
        let is_option = contract.kind.option_type().is_some();
        if is_option && quote.open_interest < risk.min_open_interest {
            let (has, needs) = (quote.open_interest, risk.min_open_interest);
            return Err(Gate::shut(
                "ILLIQUID",
                &[name(), ("open_interest", has.to_string()), ("least", needs.to_string())],
            ));
        }
        let cap = quote.last.scale_floor(MILLION + risk.entry_cap.0, MILLION);
        if side == Side::Buy && quote.ask.is_some_and(|ask| ask.price > cap) {
            return Err(Gate::shut("ILLIQUID", &[name(), ("cap", cap.to_string())]));
        }
        Ok((quote, spread))
    }
}

/// True for refusals that another strike may not have.
fn is_of_the_market(code: &str) -> bool {
    matches!(code, "ILLIQUID" | "NO_QUOTE" | "OPTION_STALE" | "PREMIUM_BAND")
}

/// Units on the side that an entry takes from. Feeds tell the asks of the
/// top five; for a sale the best bid has to do.
fn quote_depth(quote: &Quote, side: Side) -> Quantity {
    match side {
        Side::Buy => quote.ask_depth,
        Side::Sell => quote.bid.map_or(0, |level| level.quantity),
    }
}

fn share_of(value: Money, share: Ppm) -> Money {
    let product = i128::from(value.paise()) * i128::from(share.0);
    Money::from_paise(i64::try_from(product.div_euclid(i128::from(MILLION))).unwrap_or(i64::MAX))
}
