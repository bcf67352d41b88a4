//! Session, profile, funds.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::Value;

use super::field::Row;
use crate::market::{Money, Timestamp};

/// Who the account belongs to and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The client's id.
    pub user_id: String,
    /// Full name.
    pub user_name: String,
    /// Short name.
    pub user_shortname: Option<String>,
    /// Electronic mail address.
    pub email: Option<String>,
    /// Kind of account.
    pub user_type: Option<String>,
    /// The broker.
    pub broker: Option<String>,
    /// Exchanges that are open to the account.
    pub exchanges: Vec<String>,
    /// Products that are open to the account.
    pub products: Vec<String>,
    /// Order types that are open to the account.
    pub order_types: Vec<String>,
}

/// What an exchanged request token brings.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    /// The account.
    pub profile: Profile,
    /// Signs the day's calls.
    pub access_token: SecretString,
    /// A token without rights.
    pub public_token: Option<String>,
    /// When the login happened.
    pub login_time: Option<Timestamp>,
}

/// Funds by segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Margins {
    /// Shares and derivatives of NSE and BSE.
    pub equity: Option<SegmentMargin>,
    /// Commodities.
    pub commodity: Option<SegmentMargin>,
}

/// Funds of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentMargin {
    /// True when the segment is open to the account.
    pub enabled: bool,
    /// Free for new orders, by the broker's reckoning.
    pub net: Money,
    /// Where it comes from, by Kite's names.
    pub available: BTreeMap<String, Money>,
    /// What is in use, by Kite's names.
    pub utilised: BTreeMap<String, Money>,
}

pub(in crate::kite) fn profile(value: &Value) -> Result<Profile, String> {
    let row = Row::of(value)?;
    Ok(Profile {
        user_id: row.need_text("user_id")?,
        user_name: row.text("user_name").unwrap_or_default(),
        user_shortname: row.text("user_shortname"),
        email: row.text("email"),
        user_type: row.text("user_type"),
        broker: row.text("broker"),
        exchanges: row.texts("exchanges"),
        products: row.texts("products"),
        order_types: row.texts("order_types"),
    })
}

pub(in crate::kite) fn session_info(value: &Value) -> Result<SessionInfo, String> {
    let row = Row::of(value)?;
    Ok(SessionInfo {
        profile: profile(value)?,
        access_token: row.need_text("access_token")?.into(),
        public_token: row.text("public_token"),
        login_time: row.time("login_time"),
    })
}

/// Reads funds of all segments, or of the one that was asked for.
pub(in crate::kite) fn margins(value: &Value) -> Result<Margins, String> {
    let row = Row::of(value)?;
    let segment = |name: &str| row.value(name).map(segment_margin).transpose();
    let margins = Margins { equity: segment("equity")?, commodity: segment("commodity")? };
    if margins.equity.is_none() && margins.commodity.is_none() {
        return Err("funds of no segment".into());
    }
    Ok(margins)
}

pub(in crate::kite) fn segment_margin(value: &Value) -> Result<SegmentMargin, String> {
    let row = Row::of(value)?;
    let net = row.money("net")?;
    Ok(SegmentMargin {
        enabled: row.flag("enabled").unwrap_or(true),
        net: net.ok_or("no net")?,
        available: amounts(row.inner("available")),
        utilised: amounts(row.inner("utilised")),
    })
}

fn amounts(row: Option<Row<'_>>) -> BTreeMap<String, Money> {
    let Some(row) = row else { return BTreeMap::new() };
    row.each().filter_map(|(name, _)| Some((name.clone(), row.money(name).ok()??))).collect()
}
