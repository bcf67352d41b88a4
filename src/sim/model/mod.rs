//! A market out of a seed and a date. Same seed and date, same prices, on
//! every call and in every process.

/// The date cannot be simulated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No session on this date.
    #[error("{0} has no trading session; pick a trading day")]
    Closed(chrono::NaiveDate),
}
