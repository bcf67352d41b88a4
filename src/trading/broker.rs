//! Where orders go: the broker, or the paper book. Chosen once, at start.

use super::paper::PaperBook;
use crate::engine::event::Outcome;
use crate::kite::{Client, Decoded, KiteError, Lane};
use crate::market::{BrokerOrder, BrokerPosition, Money, OrderChange, OrderId, OrderRequest};

/// The receiver of order commands.
#[derive(Debug, Clone)]
pub(super) enum Broker {
    /// Real orders (or those of a simulated exchange behind the same API).
    Kite(Client),
    /// Simulated fills on real prices.
    Paper(PaperBook),
}

/// An answer to a question, and whether it is the whole answer.
#[derive(Debug)]
pub(super) struct Read<T> {
    pub(super) value: Option<T>,
    pub(super) complete: bool,
    /// True when the broker said that the session is gone.
    pub(super) session_dead: bool,
}

impl<T> Read<T> {
    fn whole(value: T) -> Read<T> {
        Read { value: Some(value), complete: true, session_dead: false }
    }

    fn failed(what: &str, error: &KiteError) -> Read<T> {
        tracing::warn!(%error, "{what} could not be read");
        Read { value: None, complete: false, session_dead: error.is_session_dead() }
    }
}

impl<T> Read<Vec<T>> {
    fn rows(what: &str, decoded: Decoded<T>) -> Read<Vec<T>> {
        for bad in &decoded.bad {
            tracing::warn!(index = bad.index, reason = %bad.reason, "a row of {what} is unreadable");
        }
        let complete = decoded.complete();
        Read { complete, value: Some(decoded.rows), session_dead: false }
    }
}

impl Broker {
    /// Counts the changes of the session, while there is one.
    pub(super) fn session(&self) -> Option<u64> {
        match self {
            Broker::Kite(client) => client.has_session().then(|| client.session_count()),
            Broker::Paper(_) => None,
        }
    }

    pub(super) async fn submit(&self, order: &OrderRequest, reduces: bool) -> Outcome {
        let lane = if reduces { Lane::Exit } else { Lane::Entry };
        match self {
            Broker::Kite(client) => client.submit(order, lane).await,
            Broker::Paper(book) => book.submit(order),
        }
    }

    pub(super) async fn modify(&self, id: &OrderId, change: &OrderChange) -> Outcome {
        match self {
            Broker::Kite(client) => client.modify(id, change).await,
            Broker::Paper(book) => book.modify(id, change),
        }
    }

    pub(super) async fn cancel(&self, id: &OrderId) -> Outcome {
        match self {
            Broker::Kite(client) => client.cancel(id).await,
            Broker::Paper(book) => book.cancel(id),
        }
    }

    pub(super) async fn orders(&self) -> Read<Vec<BrokerOrder>> {
        match self {
            Broker::Kite(client) => match client.orders().await {
                Ok(decoded) => Read::rows("the order book", decoded),
                Err(error) => Read::failed("the order book", &error),
            },
            Broker::Paper(book) => Read::whole(book.orders()),
        }
    }

    pub(super) async fn positions(&self) -> Read<Vec<BrokerPosition>> {
        match self {
            Broker::Kite(client) => match client.positions().await {
                Ok(positions) => Read::rows("the positions", positions.net),
                Err(error) => Read::failed("the positions", &error),
            },
            Broker::Paper(book) => Read::whole(book.positions()),
        }
    }

    pub(super) async fn available(&self) -> Read<Money> {
        match self {
            Broker::Kite(client) => match client.margins().await {
                Ok(margins) => Read {
                    complete: margins.equity.is_some(),
                    value: margins.equity.map(|equity| equity.net),
                    session_dead: false,
                },
                Err(error) => Read::failed("the margins", &error),
            },
            Broker::Paper(book) => Read::whole(book.available()),
        }
    }
}
