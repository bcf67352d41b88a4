//! The chat service and its stand-in server, over real HTTP.

mod stand_in;
