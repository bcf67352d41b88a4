//! A local Kite: an exchange that speaks the broker's protocol, and a stand-in for Telegram.

pub mod telegram;
