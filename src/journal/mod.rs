//! The write-ahead journal: every event that changed something, with the commands it caused.
