//! Numbers that broker and exchange give out.

use crate::market::Timestamp;
use crate::market::time::ist;

/// Zero of the broker's order numbers, in milliseconds since 1970.
const EPOCH_MS: i64 = 1_288_834_974_657;
/// Bits below the milliseconds.
const NUMBER_BITS: u32 = 22;

/// The broker's order id: 19 digits, or the older 15.
pub(super) fn order_id(at: Timestamp, number: u64, short: bool) -> String {
    if short {
        return format!("{}{number:09}", ist(at).format("%y%m%d"));
    }
    let millis = (at.timestamp_millis() - EPOCH_MS).unsigned_abs();
    let id = (millis << NUMBER_BITS) | (number & ((1 << NUMBER_BITS) - 1));
    id.to_string()
}

/// The exchange's order id.
pub(super) fn exchange_order_id(number: u64) -> String {
    format!("11{number:014}")
}

/// The exchange's trade id.
pub(super) fn trade_id(number: u64) -> String {
    format!("{}", 10_000_000 + number)
}

/// A request id.
pub(super) fn guid(number: u64) -> String {
    format!("sim-{number:08x}")
}

/// A number in `0..=most` that seed and `number` decide (SplitMix64).
pub(super) fn draw(seed: u64, number: u64, most: i64) -> i64 {
    let mut bits = seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ (bits >> 31)) % (most.unsigned_abs() + 1)).cast_signed()
}
