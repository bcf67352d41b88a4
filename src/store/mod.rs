//! The database file: migrations, tables, inbox, outbox, session, heartbeats.
