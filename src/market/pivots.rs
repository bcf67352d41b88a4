//! Pivot levels of every family in common use.
/// A family of pivot levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Floor pivots; R3 = H + 2(PP − L).
    Traditional,
}
