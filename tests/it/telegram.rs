//! The chat service and its stand-in server, over real HTTP.

mod alerts;
mod commands;
mod notices;
mod stage;
mod stand_in;
