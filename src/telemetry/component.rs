//! Who speaks: the parts of the system that have a file of their own, chosen
//! by the module that logs.

use std::cell::Cell;

use tracing::Metadata;

/// A part of the system as operators name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Component {
    /// Sends orders and reads answers.
    ExecutionService,
    /// The loop that decides.
    TradingBot,
    /// What people ask for in the chat.
    CommandService,
    /// Order updates and the ticker.
    OrderWatcher,
    /// Limits.
    RiskManager,
    /// Checks before an order, and whoever flattens in place of a service.
    ExecutionGuard,
    /// Pages and their server.
    Dashboard,
    /// Starts, journals, databases, backups.
    RecoveryService,
    /// The broker's API, and our own.
    Api,
    /// Health and its figures.
    Metrics,
    /// Signals, orders, fills, exits.
    TradingActivity,
    /// Timings and resource figures.
    Performance,
    /// Everything else.
    General,
}

/// Target of one-line facts about trades; they are never sampled away.
pub const ACTIVITY: &str = "trading_activity";

/// Target of spans whose duration is recorded, and of resource figures.
pub const PERFORMANCE: &str = "performance";

/// The longest matching module speaks for a component.
const MODULES: [(&str, Component); 31] = [
    (ACTIVITY, Component::TradingActivity),
    (PERFORMANCE, Component::Performance),
    ("pivot_trading::trading", Component::TradingBot),
    ("pivot_trading::trading::broker", Component::ExecutionService),
    ("pivot_trading::trading::executor", Component::ExecutionService),
    ("pivot_trading::trading::placements", Component::ExecutionService),
    ("pivot_trading::trading::paper", Component::ExecutionService),
    ("pivot_trading::trading::feed", Component::OrderWatcher),
    ("pivot_trading::trading::flatten", Component::ExecutionGuard),
    ("pivot_trading::trading::doubt", Component::ExecutionGuard),
    ("pivot_trading::engine", Component::RiskManager),
    ("pivot_trading::engine::guards", Component::ExecutionGuard),
    ("pivot_trading::telegram", Component::CommandService),
    ("pivot_trading::telegram::watch", Component::Metrics),
    ("pivot_trading::web", Component::Api),
    ("pivot_trading::web::pages", Component::Dashboard),
    ("pivot_trading::web::login", Component::Dashboard),
    ("pivot_trading::kite", Component::Api),
    ("pivot_trading::kite::ticker", Component::OrderWatcher),
    ("pivot_trading::journal", Component::RecoveryService),
    ("pivot_trading::store", Component::RecoveryService),
    ("pivot_trading::upkeep", Component::RecoveryService),
    ("pivot_trading::service", Component::RecoveryService),
    ("pivot_trading::health", Component::Metrics),
    ("pivot_trading::telemetry", Component::Metrics),
    ("hyper", Component::Api),
    ("reqwest", Component::Api),
    ("rustls", Component::Api),
    ("teloxide", Component::CommandService),
    ("tungstenite", Component::OrderWatcher),
    ("tokio_cron_scheduler", Component::RecoveryService),
];

/// Calls in the code whose component a thread remembers; a power of two.
const REMEMBERED: usize = 128;

/// Bytes of a call's metadata, about: which bits of its address say little.
const ADDRESS_SHIFT: u32 = 6;

/// The address of a call's metadata, and the component of its target.
type Remembered = Cell<(usize, Component)>;

thread_local! {
    static CALLS: [Remembered; REMEMBERED] =
        const { [const { Cell::new((0, Component::General)) }; REMEMBERED] };
}

impl Component {
    /// All of them, in the order of their numbers.
    pub const ALL: [Component; 13] = [
        Component::ExecutionService,
        Component::TradingBot,
        Component::CommandService,
        Component::OrderWatcher,
        Component::RiskManager,
        Component::ExecutionGuard,
        Component::Dashboard,
        Component::RecoveryService,
        Component::Api,
        Component::Metrics,
        Component::TradingActivity,
        Component::Performance,
        Component::General,
    ];

    /// The name in lines, tables and file names: `execution_service`, …
    pub const fn as_str(self) -> &'static str {
        match self {
            Component::ExecutionService => "execution_service",
            Component::TradingBot => "trading_bot",
            Component::CommandService => "command_service",
            Component::OrderWatcher => "order_watcher",
            Component::RiskManager => "risk_manager",
            Component::ExecutionGuard => "execution_guard",
            Component::Dashboard => "dashboard",
            Component::RecoveryService => "recovery_service",
            Component::Api => "api",
            Component::Metrics => "metrics",
            Component::TradingActivity => "trading_activity",
            Component::Performance => "performance",
            Component::General => "general",
        }
    }

    /// The component of this name.
    pub fn parse(name: &str) -> Option<Component> {
        Component::ALL.into_iter().find(|component| component.as_str() == name)
    }

    /// The component that a module speaks for.
    pub fn of(target: &str) -> Component {
        let matching = MODULES.iter().filter(|(module, _)| is_within(target, module));
        let longest = matching.max_by_key(|(module, _)| module.len());
        longest.map_or(Component::General, |(_, component)| *component)
    }

    /// [`Component::of`] the target of a call in the code. A call's metadata
    /// stays where it is for as long as the process lives, so each thread
    /// remembers by its address.
    pub(super) fn of_call(call: &'static Metadata<'static>) -> Component {
        Component::remembered(std::ptr::from_ref(call).addr(), call.target())
    }

    fn remembered(address: usize, target: &str) -> Component {
        // A thread that ends remembers nothing.
        let found = CALLS.try_with(|calls| {
            let place = calls.get((address >> ADDRESS_SHIFT) % REMEMBERED)?;
            let (known, component) = place.get();
            if known == address {
                return Some(component);
            }
            let component = Component::of(target);
            place.set((address, component));
            Some(component)
        });
        found.ok().flatten().unwrap_or_else(|| Component::of(target))
    }

    /// Modules of this component: what a level of it applies to. Those of a
    /// longer name may belong to another one.
    pub(super) fn modules(self) -> impl Iterator<Item = &'static str> {
        MODULES.iter().filter(move |(_, component)| *component == self).map(|(module, _)| *module)
    }

    /// True when it has a file of its own.
    pub(super) const fn has_file(self) -> bool {
        !matches!(self, Component::General)
    }

    pub(super) const fn number(self) -> u8 {
        self as u8
    }

    pub(super) fn from_number(number: u8) -> Component {
        Component::ALL.get(usize::from(number)).copied().unwrap_or(Component::General)
    }
}

/// True for the module itself and for those inside it.
fn is_within(target: &str, module: &str) -> bool {
    target
        .strip_prefix(module)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || !module.contains("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_module_decides() {
        for (target, wanted) in [
            ("pivot_trading::trading", Component::TradingBot),
            ("pivot_trading::trading::executor", Component::ExecutionService),
            ("pivot_trading::trading::executors", Component::TradingBot),
            ("pivot_trading::kite::ticker::frame", Component::OrderWatcher),
            ("hyper_util::client", Component::Api),
            ("trading_activity", Component::TradingActivity),
            ("somebody", Component::General),
            ("", Component::General),
        ] {
            assert_eq!(Component::of(target), wanted, "{target}");
        }
    }

    #[test]
    fn a_call_keeps_its_component_however_many_there_are() {
        let targets: Vec<&str> = MODULES.iter().map(|(module, _)| *module).collect();
        for round in 0..3 {
            // More of them than are remembered, and several at each place.
            for call in 1..=1_000 {
                let target = targets[call % targets.len()];
                let address = call * 24 * 8;
                assert_eq!(Component::remembered(address, target), Component::of(target));
                // Asked again, its target is not looked at.
                assert_eq!(
                    Component::remembered(address, "somebody"),
                    Component::of(target),
                    "{round} {call}"
                );
            }
        }
    }

    #[test]
    fn numbers_and_names_lead_back() {
        for component in Component::ALL {
            assert_eq!(Component::from_number(component.number()), component);
            assert_eq!(Component::parse(component.as_str()), Some(component));
        }
        assert_eq!(Component::from_number(200), Component::General);
        assert_eq!(Component::parse("nobody"), None);
    }
}
