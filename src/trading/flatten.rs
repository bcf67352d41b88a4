//! Panic when pivot-trading is dead: the same loop in flatten-only mode, run
//! by pivot-bot or pivotctl under the same lock. There is no second
//! implementation of how a position is closed.

use std::time::Duration;

use super::service::Service;
use super::{TradingError, build};
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::event::{OperatorAction, OperatorCommand};

/// Real time after which flatten-only mode gives up and says what is left.
const GIVE_UP_AFTER: Duration = Duration::from_secs(120);

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flattened {
    /// True when the broker shows nothing of the bot's held or working.
    pub flat: bool,
    /// What is left, in words, when not flat.
    pub left: Option<String>,
}

/// Takes the trading service's lock, cancels and flattens, and returns when
/// the broker shows that nothing is left or time is up. Needs a `LocalSet`.
///
/// # Errors
/// When pivot-trading runs (it holds the lock and will act itself), nobody is
/// logged in, or the database fails.
pub async fn run(
    config: Config,
    clock: Clock,
    actor: &str,
    request: i64,
) -> Result<Flattened, TradingError> {
    let asked_at = clock.now();
    let mut built = build(config, clock)?;
    let service = &mut built.service;
    if !service.context.client.has_session() {
        return Err(TradingError::NoSession);
    }
    service.take_turn(
        Vec::new(),
        vec![OperatorCommand {
            request,
            actor: actor.to_string(),
            asked_at,
            action: OperatorAction::Panic { all: false },
        }],
    )?;
    service.run(tokio::time::sleep(GIVE_UP_AFTER), Service::is_quiet).await?;
    let position = service.core.engine.open_position();
    let left = position.map(|position| format!("{} of {}", position.quantity, position.contract));
    Ok(Flattened { flat: left.is_none() && service.is_quiet(), left })
}
