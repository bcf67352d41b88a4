//! The simulated Kite over real HTTP and WebSocket, without our own client.

mod client;
mod exchange;
mod extremes;
mod faults;
mod process;
mod rest;
mod ticker;
mod unknowns;
