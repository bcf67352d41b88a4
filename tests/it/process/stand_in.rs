//! A panic while pivot-trading is dead, hangs, or is about to start.
