//! Decodes the ticker's binary messages. Pure; never panics.
//!
//! A message is a count and then, for each packet, its length and its bytes;
//! all integers are big-endian. The length alone says what a packet is: any
//! other length than the five known ones is passed over, not guessed at.

use crate::market::Price;

/// Segment byte of index tokens.
const SEGMENT_INDICES: u32 = 9;
/// Segment byte of NSE currency tokens.
const SEGMENT_CDS: u32 = 3;
/// Segment byte of BSE currency tokens.
const SEGMENT_BCD: u32 = 6;

/// Levels of each side of the book in a full packet.
pub const DEPTH: usize = 5;

/// What a packet carries, as its length tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TickKind {
    /// Last price alone (8 bytes).
    Ltp,
    /// An index with its prices of the day (28 bytes).
    IndexQuote,
    /// The same with a timestamp (32 bytes).
    IndexFull,
    /// Prices and volumes of the day (44 bytes).
    Quote,
    /// The same with open interest, timestamps and book (184 bytes).
    Full,
}

impl TickKind {
    fn of_len(len: usize) -> Option<TickKind> {
        match len {
            8 => Some(TickKind::Ltp),
            28 => Some(TickKind::IndexQuote),
            32 => Some(TickKind::IndexFull),
            44 => Some(TickKind::Quote),
            184 => Some(TickKind::Full),
            _ => None,
        }
    }

    /// The subscription mode that brings such packets: `ltp`, `quote`,
    /// `full`.
    pub const fn mode(self) -> &'static str {
        match self {
            TickKind::Ltp => "ltp",
            TickKind::IndexQuote | TickKind::Quote => "quote",
            TickKind::IndexFull | TickKind::Full => "full",
        }
    }
}

/// One level of the book, prices as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RawLevel {
    /// Units.
    pub quantity: u32,
    /// Price, scaled.
    pub price: i32,
    /// Orders at this price.
    pub orders: u16,
}

/// One packet. Prices are integers as on the wire; [`RawTick::price`] turns
/// them into paise. Fields that the packet does not carry are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawTick {
    /// Today's token of the instrument.
    pub token: u32,
    /// What the packet carries.
    pub kind: TickKind,
    /// Last traded price.
    pub last: i32,
    /// Units of the last trade.
    pub last_quantity: u32,
    /// Average price of the day.
    pub average: i32,
    /// Units traded today.
    pub volume: u32,
    /// Units bid in the whole book.
    pub buy_quantity: u32,
    /// Units offered in the whole book.
    pub sell_quantity: u32,
    /// Today's first price.
    pub open: i32,
    /// Today's highest price.
    pub high: i32,
    /// Today's lowest price.
    pub low: i32,
    /// The previous trading day's close.
    pub close: i32,
    /// Change of an index against the previous close.
    pub change: i32,
    /// Second of the last trade (Unix time); zero when absent.
    pub last_trade_s: u32,
    /// Open interest, in units.
    pub open_interest: u32,
    /// Highest open interest of the day.
    pub open_interest_high: u32,
    /// Lowest open interest of the day.
    pub open_interest_low: u32,
    /// Second of the exchange's update (Unix time); zero when absent.
    pub exchange_s: u32,
    /// Best bids.
    pub bids: [RawLevel; DEPTH],
    /// Best asks.
    pub asks: [RawLevel; DEPTH],
}

impl RawTick {
    /// True for an index.
    pub const fn is_index(&self) -> bool {
        self.token & 0xff == SEGMENT_INDICES
    }

    /// What a scaled price is divided by to give rupees: 100, or more for
    /// currencies.
    pub const fn divisor(&self) -> i64 {
        match self.token & 0xff {
            SEGMENT_CDS => 10_000_000,
            SEGMENT_BCD => 10_000,
            _ => 100,
        }
    }

    /// A scaled price of this packet in paise, halves up.
    pub const fn price(&self, scaled: i32) -> Price {
        let per_paisa = self.divisor() / 100;
        Price::from_paise((scaled as i64 + per_paisa / 2).div_euclid(per_paisa))
    }

    fn empty(token: u32, kind: TickKind, last: i32) -> RawTick {
        RawTick {
            token,
            kind,
            last,
            last_quantity: 0,
            average: 0,
            volume: 0,
            buy_quantity: 0,
            sell_quantity: 0,
            open: 0,
            high: 0,
            low: 0,
            close: 0,
            change: 0,
            last_trade_s: 0,
            open_interest: 0,
            open_interest_high: 0,
            open_interest_low: 0,
            exchange_s: 0,
            bids: [RawLevel::default(); DEPTH],
            asks: [RawLevel::default(); DEPTH],
        }
    }
}

/// What a message held besides the packets that were decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameReport {
    /// True for a heartbeat.
    pub heartbeat: bool,
    /// Packets decoded.
    pub decoded: usize,
    /// Packets of unknown length, passed over.
    pub skipped: usize,
    /// True when the message ended before its packets did.
    pub truncated: bool,
}

/// Decodes one message; appends its packets to `out` in their order.
pub fn decode(bytes: &[u8], out: &mut Vec<RawTick>) -> FrameReport {
    let mut report = FrameReport::default();
    let Some((count, mut rest)) = split_u16(bytes) else {
        report.heartbeat = bytes.len() == 1;
        return report;
    };
    for _ in 0..count {
        let packet = split_u16(rest).and_then(|(len, tail)| tail.split_at_checked(len.into()));
        let Some((packet, tail)) = packet else {
            report.truncated = true;
            break;
        };
        rest = tail;
        match tick(packet) {
            Some(tick) => {
                out.push(tick);
                report.decoded += 1;
            }
            None => report.skipped += 1,
        }
    }
    report
}

fn split_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (head, tail) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*head), tail))
}

/// Decodes one bare packet. `None` for a length that is not known.
pub fn tick(packet: &[u8]) -> Option<RawTick> {
    let kind = TickKind::of_len(packet.len())?;
    let word = |at: usize| u32_at(packet, at);
    let price = |at: usize| u32_at(packet, at).cast_signed();
    let mut tick = RawTick::empty(word(0), kind, price(4));
    match kind {
        TickKind::Ltp => {}
        TickKind::IndexQuote | TickKind::IndexFull => {
            tick.high = price(8);
            tick.low = price(12);
            tick.open = price(16);
            tick.close = price(20);
            tick.change = price(24);
            if kind == TickKind::IndexFull {
                tick.exchange_s = word(28);
            }
        }
        TickKind::Quote | TickKind::Full => {
            tick.last_quantity = word(8);
            tick.average = price(12);
            tick.volume = word(16);
            tick.buy_quantity = word(20);
            tick.sell_quantity = word(24);
            tick.open = price(28);
            tick.high = price(32);
            tick.low = price(36);
            tick.close = price(40);
            if kind == TickKind::Full {
                tick.last_trade_s = word(44);
                tick.open_interest = word(48);
                tick.open_interest_high = word(52);
                tick.open_interest_low = word(56);
                tick.exchange_s = word(60);
                tick.bids = levels(packet, 64);
                tick.asks = levels(packet, 124);
            }
        }
    }
    Some(tick)
}

fn levels(packet: &[u8], start: usize) -> [RawLevel; DEPTH] {
    std::array::from_fn(|index| {
        let at = start + 12 * index;
        RawLevel {
            quantity: u32_at(packet, at),
            price: u32_at(packet, at + 4).cast_signed(),
            orders: (u32_at(packet, at + 8) >> 16) as u16,
        }
    })
}

/// Four bytes, or zero beyond the end, which a known length never reaches.
fn u32_at(packet: &[u8], at: usize) -> u32 {
    let bytes = packet.get(at..).and_then(|tail| tail.first_chunk::<4>());
    bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(packets: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = (packets.len() as u16).to_be_bytes().to_vec();
        for packet in packets {
            bytes.extend((packet.len() as u16).to_be_bytes());
            bytes.extend(packet);
        }
        bytes
    }

    fn words(words: &[i64]) -> Vec<u8> {
        words.iter().flat_map(|word| (*word as u32).to_be_bytes()).collect()
    }

    fn full() -> Vec<u8> {
        let mut packet = words(&[
            218_968_069,
            58_385,
            20,
            50_250,
            11_222_780,
            43_560,
            35_680,
            45_000,
            66_210,
            42_695,
            64_395,
            1_786_699_005,
            328_420,
            737_440,
            197_620,
            1_786_699_004,
        ]);
        for level in 0..10_i64 {
            packet.extend(words(&[60 + level, 58_235 - level, (3 + level) << 16]));
        }
        packet
    }

    #[test]
    fn the_length_says_what_a_packet_is() {
        let quote =
            words(&[219_012_101, 24_675, 20, 33_296, 181, 59, 145, 34_185, 39_865, 22_315, 28_270]);
        let index =
            words(&[256_265, 2_436_995, 2_440_520, 2_429_680, 2_436_190, 2_439_585, -2_590]);
        let mut index_full = index.clone();
        index_full.extend(words(&[1_786_699_005]));
        let ltp = words(&[218_814_981, 52_150]);
        let packets = [ltp, index.clone(), vec![1; 9], index_full, quote, vec![], full()];
        let mut ticks = Vec::new();
        let report = decode(&frame(&packets), &mut ticks);
        assert_eq!((report.decoded, report.skipped, report.truncated), (5, 2, false));
        let kinds: Vec<_> = ticks.iter().map(|tick| tick.kind).collect();
        assert_eq!(
            kinds,
            [
                TickKind::Ltp,
                TickKind::IndexQuote,
                TickKind::IndexFull,
                TickKind::Quote,
                TickKind::Full
            ]
        );
        let nifty = &ticks[2];
        assert_eq!((nifty.high, nifty.low, nifty.open), (2_440_520, 2_429_680, 2_436_190));
        assert_eq!(
            (nifty.close, nifty.change, nifty.exchange_s),
            (2_439_585, -2_590, 1_786_699_005)
        );
        assert!(nifty.is_index());
        let option = &ticks[4];
        assert_eq!(
            (option.open_interest, option.volume, option.exchange_s),
            (328_420, 11_222_780, 1_786_699_004)
        );
        assert_eq!(option.bids[1], RawLevel { quantity: 61, price: 58_234, orders: 4 });
        assert_eq!(option.asks[4], RawLevel { quantity: 69, price: 58_226, orders: 12 });
        assert_eq!(option.price(option.last), Price::from_paise(58_385));
    }

    #[test]
    fn currencies_have_their_own_scale() {
        let price = |token: i64, scaled: i64| {
            let tick = tick(&words(&[token, scaled])).unwrap();
            tick.price(tick.last).paise()
        };
        assert_eq!(price(0x0103, 727_550_000), 7_276);
        assert_eq!(price(0x0106, 727_500), 7_275);
        assert_eq!(price(0x0102, 7_275), 7_275);
    }

    #[test]
    fn heartbeats_and_stumps() {
        let mut ticks = Vec::new();
        assert!(decode(&[0], &mut ticks).heartbeat);
        for stump in [&[][..], &[0, 0], &[0, 1, 0], &[0, 1, 0, 8, 1, 2]] {
            assert!(!decode(stump, &mut ticks).heartbeat);
        }
        let mut cut = frame(&[words(&[1, 2]), words(&[3, 4])]);
        cut.pop();
        let report = decode(&cut, &mut ticks);
        assert_eq!((report.decoded, report.truncated, ticks.len()), (1, true, 1));
    }

    proptest! {
        #[test]
        fn a_packet_keeps_its_values(bytes in prop::collection::vec(any::<u8>(), 184)) {
            let tick = tick(&bytes).unwrap();
            prop_assert_eq!(tick.token, u32_at(&bytes, 0));
            prop_assert_eq!(tick.asks[4].orders, u16::from_be_bytes([bytes[180], bytes[181]]));
            let _ = tick.price(tick.last);
        }
    }
}
