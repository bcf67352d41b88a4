//! The chat service and its stand-in server, over real HTTP.

mod alerts;
mod commands;
mod logs;
mod notices;
mod reminders;
mod restart;
mod stage;
mod stand_in;
