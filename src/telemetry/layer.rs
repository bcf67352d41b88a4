//! From the calls in the code to the queue.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::component::{Component, PERFORMANCE};
use super::entry::{Entry, FieldsBuffer, Kind, level_number};
use super::sampler::Said;
use super::scrub::Scrubber;
use super::shared::Shared;

/// Longest message, and all fields of an event together.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;
const FIELDS_BYTES_MAX: usize = 16 * 1024;

/// Encodes events and puts them into the queue.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) shared: Arc<Shared>,
}

/// What an event says, collected field by field.
#[derive(Debug, Default)]
struct Spoken {
    message: Vec<u8>,
    correlation_id: Vec<u8>,
    event_type: Vec<u8>,
    fields: FieldsBuffer,
}

thread_local! {
    static SPOKEN: RefCell<Spoken> = RefCell::default();
}

/// The trade (or request) that a span is about.
#[derive(Debug)]
struct Correlation(String);

/// A span whose duration is recorded.
#[derive(Debug)]
struct Timed {
    started: Instant,
    fields: FieldsBuffer,
}

impl Spoken {
    fn clear(&mut self) {
        self.message.clear();
        self.correlation_id.clear();
        self.event_type.clear();
        self.fields.clear();
    }
}

/// Collects the fields of an event.
struct Listener<'a> {
    spoken: &'a mut Spoken,
    scrubber: &'a Scrubber,
}

impl Listener<'_> {
    fn put(&mut self, name: &str, kind: Kind, value: fmt::Arguments<'_>) {
        let (spoken, scrubber) = (&mut *self.spoken, self.scrubber);
        let (into, limit) = match name {
            "message" => (&mut spoken.message, MESSAGE_BYTES_MAX),
            "correlation_id" => (&mut spoken.correlation_id, usize::from(u8::MAX)),
            "event_type" => (&mut spoken.event_type, usize::from(u8::MAX)),
            _ if spoken.fields.len() >= FIELDS_BYTES_MAX => return,
            _ => {
                spoken.fields.begin(name, kind);
                let limit = FIELDS_BYTES_MAX - spoken.fields.len().min(FIELDS_BYTES_MAX);
                let into = spoken.fields.value();
                let (start, limit) = (into.len(), into.len() + limit);
                let _ = Bounded { into, start, limit, scrubber }.write_fmt(value);
                spoken.fields.end();
                return;
            }
        };
        let _ = Bounded { into, start: 0, limit, scrubber }.write_fmt(value);
    }

    /// As [`Listener::put`] for text that is there already.
    fn put_text(&mut self, name: &str, value: &str) {
        match name {
            "message" | "correlation_id" | "event_type" => {
                self.put(name, Kind::Text, format_args!("{value}"));
            }
            _ if self.spoken.fields.len() + value.len() >= FIELDS_BYTES_MAX => {
                self.put(name, Kind::Text, format_args!("{value}"));
            }
            _ => {
                let fields = &mut self.spoken.fields;
                fields.begin(name, Kind::Text);
                fields.value().extend_from_slice(value.as_bytes());
                fields.end();
            }
        }
    }
}

impl Visit for Listener<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), Kind::Text, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), Kind::Plain, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), Kind::Plain, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), Kind::Plain, format_args!("{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let kind = if value.is_finite() { Kind::Plain } else { Kind::Text };
        self.put(field.name(), kind, format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let causes = std::iter::successors(Some(value), |&error| error.source());
        let mut text = String::new();
        for (position, cause) in causes.enumerate() {
            let _ = write!(text, "{}{cause}", if position == 0 { "" } else { ": " });
        }
        self.put_text(field.name(), &text);
    }
}

/// Takes text up to a limit and then an ellipsis; what the limit cuts off is
/// not the rest of a secret.
struct Bounded<'a> {
    into: &'a mut Vec<u8>,
    start: usize,
    limit: usize,
    scrubber: &'a Scrubber,
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.limit.saturating_sub(self.into.len());
        if text.len() <= room {
            self.into.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        self.into.extend_from_slice(&text.as_bytes()[..text.floor_char_boundary(room)]);
        let kept = self.scrubber.current().without_part(&self.into[self.start..]);
        self.into.truncate(self.start + kept);
        self.into.extend_from_slice("…".as_bytes());
        // What follows is not even formatted.
        Err(fmt::Error)
    }
}

/// The text of bytes that were written as text.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("")
}

impl Recorder {
    fn listener<'a>(&'a self, spoken: &'a mut Spoken) -> Listener<'a> {
        Listener { spoken, scrubber: &self.shared.scrubber }
    }

    fn speak(&self, spoken: &Spoken, call: &'static Metadata<'static>, inherited: &str) {
        let (level, target) = (*call.level(), call.target());
        let own = text(&spoken.correlation_id);
        let entry = Entry {
            at_us: self.shared.clock.now().timestamp_micros(),
            level,
            component: Component::of_call(call),
            duration_us: None,
            target,
            correlation_id: if own.is_empty() { inherited } else { own },
            event_type: text(&spoken.event_type),
            message: text(&spoken.message),
            fields: spoken.fields.as_fields(),
        };
        let exempt = matches!(entry.component, Component::TradingActivity | Component::Performance);
        if !exempt {
            let mut hasher = DefaultHasher::new();
            (call.line().unwrap_or(0), level_number(level)).hash(&mut hasher);
            hasher.write(entry.target.as_bytes());
            hasher.write(entry.correlation_id.as_bytes());
            hasher.write(entry.message.as_bytes());
            hasher.write(entry.fields.bytes());
            let said = Said {
                at_us: entry.at_us,
                level,
                component: entry.component,
                target,
                correlation_id: entry.correlation_id,
                message: entry.message,
            };
            if !self.shared.sampler.passes(hasher.finish(), said, &self.shared.scrubber) {
                self.shared.count_sampled(level);
                return;
            }
        }
        self.shared.queue.push(&entry);
    }
}

/// Runs `body` with the thread's buffers, or with fresh ones while these are
/// in use: something that is being formatted logs itself.
fn with_spoken(body: impl FnOnce(&mut Spoken)) {
    let mut body = Some(body);
    // A thread that ends has no buffers any more.
    let _ = SPOKEN.try_with(|spoken| {
        if let Ok(mut spoken) = spoken.try_borrow_mut()
            && let Some(body) = body.take()
        {
            spoken.clear();
            body(&mut spoken);
        }
    });
    if let Some(body) = body {
        body(&mut Spoken::default());
    }
}

impl<S> Layer<S> for Recorder
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        with_spoken(|spoken| {
            attributes.record(&mut self.listener(spoken));
            note_correlation(&span, spoken);
            if attributes.metadata().target() == PERFORMANCE {
                let fields = std::mem::take(&mut spoken.fields);
                span.extensions_mut().insert(Timed { started: Instant::now(), fields });
            }
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        with_spoken(|spoken| {
            let mut timed = span.extensions_mut().remove::<Timed>();
            if let Some(timed) = &mut timed {
                std::mem::swap(&mut timed.fields, &mut spoken.fields);
            }
            values.record(&mut self.listener(spoken));
            if let Some(mut timed) = timed {
                std::mem::swap(&mut timed.fields, &mut spoken.fields);
                span.extensions_mut().insert(timed);
            }
            note_correlation(&span, spoken);
        });
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let call = event.metadata();
        with_spoken(|spoken| {
            event.record(&mut self.listener(spoken));
            match correlation_of(context.event_scope(event)) {
                Some(id) => self.speak(spoken, call, &id),
                None => self.speak(spoken, call, ""),
            }
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(timed) = span.extensions_mut().remove::<Timed>() else { return };
        let us = u64::try_from(timed.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let correlation = correlation_of(Some(span.scope())).unwrap_or_default();
        self.shared.queue.push(&Entry {
            at_us: self.shared.clock.now().timestamp_micros(),
            level: *span.metadata().level(),
            component: Component::Performance,
            duration_us: Some(us),
            target: PERFORMANCE,
            correlation_id: &correlation,
            event_type: "",
            message: span.name(),
            fields: timed.fields.as_fields(),
        });
    }
}

fn note_correlation<S>(span: &SpanRef<'_, S>, spoken: &Spoken)
where
    S: for<'span> LookupSpan<'span>,
{
    if !spoken.correlation_id.is_empty() {
        let id = text(&spoken.correlation_id).to_string();
        span.extensions_mut().replace(Correlation(id));
    }
}

/// The nearest span's.
fn correlation_of<'a, S>(
    scope: Option<tracing_subscriber::registry::Scope<'a, S>>,
) -> Option<String>
where
    S: for<'span> LookupSpan<'span>,
{
    scope?.find_map(|span| span.extensions().get::<Correlation>().map(|id| id.0.clone()))
}
