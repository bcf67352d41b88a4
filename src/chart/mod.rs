//! Pictures of a day: candles, levels, entries and exits, as PNG.
