//! Logs, spans and figures to an OpenTelemetry collector, by OTLP/HTTP with
//! JSON bodies (the specification's second encoding, so that no other crate
//! is needed).
//!
//! | room | what is in it |
//! | --- | --- |
//! | `backend` | batches of the sink as requests; what is sent again and what never |
//! | `encode` | records as log records and spans |
//! | `metrics` | the figures of logging, every minute |
//! | `post` | one request and what its answer means |
//!
//! Records come from the same queue as those of a database, so they are
//! without secrets already, and wait in memory while the collector is away.

mod backend;
mod encode;
mod metrics;
mod post;

pub use backend::OtlpBackend;
pub use encode::Resource;
pub use post::{Collector, PostError};
