//! Candles through the engine's strategies, to a list of trades.
