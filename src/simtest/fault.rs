//! What can go wrong, by name, and how often.

use super::dice::Dice;

macro_rules! fault_kinds {
    ($( $kind:ident, $name:literal, $rate:literal, $what:literal; )*) => {
        /// One way in which the world misbehaves.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FaultKind {
            $( #[doc = $what] $kind, )*
        }

        impl FaultKind {
            /// All kinds, in the order of the table.
            pub const ALL: [FaultKind; FaultKind::COUNT] = [$( FaultKind::$kind, )*];
            /// How many kinds there are.
            pub const COUNT: usize = [$( $name, )*].len();

            /// Its name in tables and JSON.
            pub const fn name(self) -> &'static str {
                match self { $( FaultKind::$kind => $name, )* }
            }

            /// What happens, in a sentence.
            pub const fn what(self) -> &'static str {
                match self { $( FaultKind::$kind => $what, )* }
            }

            /// Chance for each occasion on a hostile day, in parts per
            /// million.
            const fn rate(self) -> i64 {
                match self { $( FaultKind::$kind => $rate, )* }
            }
        }
    };
}

fault_kinds! {
    RequestDropped, "request-dropped", 30_000, "An order request never reaches the broker.";
    ResponseLost, "response-lost", 30_000, "The broker took the request, its answer is lost.";
    ServerError, "server-error", 25_000, "HTTP 5xx with an HTML page, carried out or not.";
    TimedOutButLive, "timed-out-but-live", 20_000, "HTTP 400 \"timed out\" while the order lives.";
    ResponseDelayed, "response-delayed", 40_000, "Request and answer take seconds.";
    RateLimited, "rate-limited", 60, "HTTP 429 to everything for a while.";
    StaticIp, "static-ip", 25, "HTTP 403 to every order call: the address is not allowed.";
    MarginShort, "margin-short", 40_000, "Not enough money for an entry.";
    TokenDeath, "token-death", 60, "The session dies in the middle of the day, until a new login.";
    TokenDeadAtSix, "token-dead-at-six", 60_000, "The morning begins without a session.";
    RejectedAfterAccept, "rejected-after-accept", 25_000, "Accepted, then rejected by the exchange.";
    ModifyRejected, "modify-rejected", 40_000, "A change is refused or undone.";
    CancelLosesRace, "cancel-loses-race", 700_000, "The order fills while its cancel is on the way.";
    PendingStuck, "pending-stuck", 20_000, "An order hangs in a PENDING state, up to many minutes.";
    PartialFill, "partial-fill", 400, "Nearly nobody trades for a while: orders fill in parts.";
    UpdateDropped, "update-dropped", 100_000, "An order update never comes.";
    UpdateDuplicated, "update-duplicated", 80_000, "An order update comes twice.";
    UpdateReordered, "update-reordered", 80_000, "An order update comes after later ones.";
    UpdateLate, "update-late", 15_000, "An order update comes minutes or hours late.";
    OrdersReadFails, "orders-read-fails", 40_000, "The order book cannot be read.";
    OrdersReadPartial, "orders-read-partial", 30_000, "Rows of the order book are unreadable.";
    PositionsReadFails, "positions-read-fails", 40_000, "The positions cannot be read.";
    PositionsStale, "positions-stale", 40_000, "The positions are seconds old.";
    WsDrop, "ws-drop", 120, "The ticker's connection breaks.";
    FeedMute, "feed-mute", 80, "The ticker is connected and says nothing.";
    StaleInstrument, "stale-instrument", 120, "One instrument gets no prices.";
    ClockForward, "clock-forward", 25, "The wall clock leaps ahead.";
    ClockBackward, "clock-backward", 25, "The wall clock is set back.";
    CommitFails, "commit-fails", 40, "The journal cannot be written: the process dies.";
    Crash, "crash", 60, "The process dies between commit, sending and answer.";
    ManualSale, "manual-sale", 50, "The user closes units of the bot in Kite.";
    ManualPurchase, "manual-purchase", 30, "The user buys the same contract.";
    ManualCancel, "manual-cancel", 40, "The user cancels an order of the bot in Kite.";
    ForeignOrder, "foreign-order", 40, "The user trades something else.";
    RmsSquareOff, "rms-square-off", 25, "The broker cancels the bot's orders and closes its units.";
    OperatorPanic, "operator-panic", 40, "Somebody panics.";
    OperatorDisable, "operator-disable", 40, "Somebody disables entries.";
    OperatorEnable, "operator-enable", 60, "Somebody enables entries, confirmed or not.";
    OperatorExit, "operator-exit", 40, "Somebody closes the open position.";
    FreezeSlicing, "freeze-slicing", 50_000, "A panic over all with more units than one order may carry.";
}

/// How rough the days are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Latency, and next to no faults.
    Calm,
    /// A bad week.
    Rough,
    /// Everything at once.
    Hostile,
}

impl Profile {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::Calm => "calm",
            Profile::Rough => "rough",
            Profile::Hostile => "hostile",
        }
    }

    /// Share of the hostile rate, in parts per thousand.
    const fn share(self) -> i64 {
        match self {
            Profile::Calm => 5,
            Profile::Rough => 200,
            Profile::Hostile => 1_000,
        }
    }
}

/// How often each kind happened in a day.
pub type Tally = [u32; FaultKind::COUNT];

/// The faults of one day: some kinds are in season, others are not, so that
/// days differ from each other.
#[derive(Debug)]
pub(super) struct Faults {
    rates: [i64; FaultKind::COUNT],
    pub(super) tally: Tally,
}

impl Faults {
    pub(super) fn new(profile: Profile, dice: &mut Dice) -> Faults {
        let rates = FaultKind::ALL.map(|kind| {
            let season = dice.pick(&[0, 40, 100, 100, 300], 100);
            kind.rate() * profile.share() / 1_000 * season / 100
        });
        Faults { rates, tally: [0; FaultKind::COUNT] }
    }

    /// A day without faults.
    #[cfg(test)]
    pub(super) fn none() -> Faults {
        Faults { rates: [0; FaultKind::COUNT], tally: [0; FaultKind::COUNT] }
    }

    /// Whether it happens now; `weight` says how much the occasion counts, in
    /// hundredths.
    pub(super) fn strikes(&self, kind: FaultKind, weight: i64, dice: &mut Dice) -> bool {
        dice.ppm(self.rates[kind as usize] * weight / 100)
    }

    pub(super) fn count(&mut self, kind: FaultKind) {
        self.tally[kind as usize] += 1;
    }
}
