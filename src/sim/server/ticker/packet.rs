//! The ticker's binary frames: big-endian integers, prices in paise.

use crate::market::{Price, Quantity, Timestamp};
use crate::sim::exchange::{DepthLevel, MarketQuote};

/// How much of an instrument is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The last price: 8 bytes.
    Ltp,
    /// The day so far: 44 bytes, 28 for an index.
    Quote,
    /// With times, open interest and the book: 184 bytes, 32 for an index.
    Full,
}

impl Mode {
    pub(super) fn parse(text: &str) -> Option<Mode> {
        match text {
            "ltp" => Some(Mode::Ltp),
            "quote" => Some(Mode::Quote),
            "full" => Some(Mode::Full),
            _ => None,
        }
    }

    const fn packet_bytes(self, is_index: bool) -> u16 {
        match (self, is_index) {
            (Mode::Ltp, _) => 8,
            (Mode::Quote, true) => 28,
            (Mode::Full, true) => 32,
            (Mode::Quote, false) => 44,
            (Mode::Full, false) => 184,
        }
    }
}

/// A heartbeat: a frame of one byte.
pub(super) const HEARTBEAT: &[u8] = &[0];

/// Packets put together into one frame.
#[derive(Debug)]
pub(super) struct Frame {
    bytes: Vec<u8>,
    packets: u16,
}

impl Frame {
    pub(super) fn new() -> Frame {
        Frame { bytes: vec![0, 0], packets: 0 }
    }

    /// Appends the packet of an instrument.
    pub(super) fn push(&mut self, quote: &MarketQuote, mode: Mode) {
        self.packets += 1;
        self.short(mode.packet_bytes(quote.is_index));
        self.int(quote.token);
        self.price(quote.last_price);
        match (mode, quote.is_index) {
            (Mode::Ltp, _) => {}
            (Mode::Quote, true) => self.index_day(quote),
            (Mode::Full, true) => {
                self.index_day(quote);
                self.time(Some(quote.at));
            }
            (Mode::Quote, false) => self.day(quote),
            (Mode::Full, false) => {
                self.day(quote);
                self.book(quote);
            }
        }
    }

    fn index_day(&mut self, quote: &MarketQuote) {
        self.price(quote.high);
        self.price(quote.low);
        self.price(quote.open);
        self.price(quote.close);
        self.price(quote.last_price - quote.close);
    }

    fn day(&mut self, quote: &MarketQuote) {
        self.units(quote.last_quantity);
        self.price(quote.average_price);
        self.units(quote.volume);
        self.units(quote.buy_quantity);
        self.units(quote.sell_quantity);
        self.price(quote.open);
        self.price(quote.high);
        self.price(quote.low);
        self.price(quote.close);
    }

    fn book(&mut self, quote: &MarketQuote) {
        self.time(quote.last_trade_time);
        self.units(quote.open_interest);
        self.units(quote.open_interest_high);
        self.units(quote.open_interest_low);
        self.time(Some(quote.at));
        for level in quote.bids.iter().chain(&quote.asks) {
            self.level(level);
        }
    }

    fn level(&mut self, depth: &DepthLevel) {
        self.units(depth.level.quantity);
        self.price(depth.level.price);
        self.short(depth.orders);
        self.short(0);
    }

    fn short(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    fn int(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Signed, so that an index's fall keeps its sign.
    fn price(&mut self, price: Price) {
        let paise = i32::try_from(price.paise()).unwrap_or(i32::MAX);
        self.bytes.extend_from_slice(&paise.to_be_bytes());
    }

    fn units(&mut self, units: Quantity) {
        self.int(u32::try_from(units.max(0)).unwrap_or(u32::MAX));
    }

    fn time(&mut self, at: Option<Timestamp>) {
        let seconds = at.map_or(0, |at| at.timestamp());
        self.int(u32::try_from(seconds).unwrap_or(0));
    }

    /// The finished frame; `None` when nothing is in it.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        if self.packets == 0 {
            return None;
        }
        self.bytes[..2].copy_from_slice(&self.packets.to_be_bytes());
        Some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{BookLevel, Exchange, InstrumentKey};

    fn level(quantity: Quantity, paise: i64, orders: u16) -> DepthLevel {
        DepthLevel { level: BookLevel { price: Price::from_paise(paise), quantity }, orders }
    }

    /// The numbers of a frame seen on the real wire.
    fn option() -> MarketQuote {
        let at = Timestamp::from_timestamp(1_786_699_005, 0).unwrap();
        let price = Price::from_paise;
        MarketQuote {
            instrument: InstrumentKey::new(Exchange::Bfo, "X"),
            token: 218_968_069,
            is_index: false,
            at,
            last_trade_time: Some(at),
            last_price: price(58_385),
            last_quantity: 20,
            average_price: price(50_250),
            volume: 11_222_780,
            buy_quantity: 43_560,
            sell_quantity: 35_680,
            open: price(45_000),
            high: price(66_210),
            low: price(42_695),
            close: price(64_395),
            open_interest: 328_420,
            open_interest_high: 737_440,
            open_interest_low: 197_620,
            lower_circuit: price(5),
            upper_circuit: price(200_000),
            bids: [
                level(60, 58_235, 3),
                level(100, 58_230, 4),
                level(60, 58_225, 3),
                level(40, 58_215, 2),
                level(80, 58_210, 3),
            ],
            asks: [
                level(40, 58_405, 2),
                level(40, 58_410, 2),
                level(20, 58_415, 1),
                level(100, 58_420, 4),
                level(40, 58_435, 2),
            ],
        }
    }

    fn index() -> MarketQuote {
        let price = Price::from_paise;
        MarketQuote {
            token: 256_265,
            is_index: true,
            last_price: price(2_436_995),
            high: price(2_440_520),
            low: price(2_429_680),
            open: price(2_436_190),
            close: price(2_439_585),
            ..option()
        }
    }

    fn frame(quote: &MarketQuote, mode: Mode) -> Vec<u8> {
        let mut frame = Frame::new();
        frame.push(quote, mode);
        frame.finish().unwrap()
    }

    fn int_at(frame: &[u8], offset: usize) -> u32 {
        let start = 4 + offset;
        u32::from_be_bytes(frame[start..start + 4].try_into().unwrap())
    }

    #[test]
    fn lengths_tell_the_kind() {
        for (quote, mode, length) in [
            (option(), Mode::Ltp, 8),
            (option(), Mode::Quote, 44),
            (option(), Mode::Full, 184),
            (index(), Mode::Ltp, 8),
            (index(), Mode::Quote, 28),
            (index(), Mode::Full, 32),
        ] {
            let frame = frame(&quote, mode);
            assert_eq!(frame.len(), 4 + length);
            assert_eq!(frame[..4], [0, 1, 0, u8::try_from(length).unwrap()]);
        }
    }

    #[test]
    fn a_full_packet_has_the_documented_offsets() {
        let frame = frame(&option(), Mode::Full);
        for (offset, value) in [
            (0, 218_968_069),
            (4, 58_385),
            (8, 20),
            (16, 11_222_780),
            (28, 45_000),
            (40, 64_395),
            (44, 1_786_699_005),
            (48, 328_420),
            (60, 1_786_699_005),
            (64, 60),
            (68, 58_235),
            (72, 3 << 16),
            (124, 40),
            (128, 58_405),
            (180, 2 << 16),
        ] {
            assert_eq!(int_at(&frame, offset), value, "offset {offset}");
        }
    }

    #[test]
    fn an_index_has_high_before_low_and_a_signed_change() {
        let frame = frame(&index(), Mode::Full);
        let found: Vec<u32> = (0..8).map(|field| int_at(&frame, 4 * field)).collect();
        let change = 0xffff_f5e2;
        let at = 1_786_699_005;
        assert_eq!(
            found,
            [256_265, 2_436_995, 2_440_520, 2_429_680, 2_436_190, 2_439_585, change, at]
        );
    }

    #[test]
    fn nothing_makes_no_frame() {
        assert_eq!(Frame::new().finish(), None);
    }
}
