//! The engine, driven event by event.
