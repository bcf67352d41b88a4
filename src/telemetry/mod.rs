//! Logs: one call in the code, several outputs; a log line never delays trading.
