//! One event on its way from the thread that logs to the thread that writes:
//! a run of bytes, so that many fit into one buffer without an allocation of
//! their own.

use tracing::Level;

use super::component::Component;

/// Bytes before the texts of an entry.
const HEAD_BYTES: usize = 40;

/// A duration that is not there.
const NO_DURATION: u64 = u64::MAX;

/// What is known of an event, its texts borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Market time, in microseconds since 1970 in UTC.
    pub(super) at_us: i64,
    pub(super) level: Level,
    pub(super) component: Component,
    /// Set for a record of how long something took.
    pub(super) duration_us: Option<u64>,
    pub(super) target: &'a str,
    pub(super) correlation_id: &'a str,
    pub(super) event_type: &'a str,
    pub(super) message: &'a str,
    pub(super) fields: Fields<'a>,
}

/// Names and values of an event, encoded by [`FieldsBuffer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
}

/// How a value is told apart in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text: in quotes.
    Text,
    /// A number or a truth value: as it stands.
    Plain,
}

/// Collects the fields of an event.
#[derive(Debug, Default)]
pub(super) struct FieldsBuffer {
    bytes: Vec<u8>,
    value_at: usize,
}

impl FieldsBuffer {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn as_fields(&self) -> Fields<'_> {
        Fields { bytes: &self.bytes }
    }

    /// Begins a field; its value follows by [`FieldsBuffer::value`].
    pub(super) fn begin(&mut self, name: &str, kind: Kind) {
        let name = &name.as_bytes()[..name.len().min(usize::from(u8::MAX))];
        self.bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        self.bytes.extend_from_slice(name);
        self.bytes.push(u8::from(kind == Kind::Plain));
        self.bytes.extend_from_slice(&[0; 4]);
        self.value_at = self.bytes.len();
    }

    /// The bytes of the value of the field that was begun.
    pub(super) fn value(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the field.
    pub(super) fn end(&mut self) {
        let length = u32::try_from(self.bytes.len() - self.value_at).unwrap_or(u32::MAX);
        self.bytes[self.value_at - 4..self.value_at].copy_from_slice(&length.to_le_bytes());
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl<'a> Fields<'a> {
    /// Name, kind and value of each field, in the order of the code.
    pub(super) fn iter(self) -> impl Iterator<Item = (&'a str, Kind, &'a str)> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let name_length = usize::from(*rest.first()?);
            let name = rest.get(1..1 + name_length)?;
            let kind = match rest.get(1 + name_length)? {
                0 => Kind::Text,
                _ => Kind::Plain,
            };
            let at = 2 + name_length;
            let length = rest.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)?;
            let end = at + 4 + usize::try_from(length).ok()?;
            let value = rest.get(at + 4..end)?;
            rest = rest.get(end..)?;
            Some((std::str::from_utf8(name).ok()?, kind, std::str::from_utf8(value).ok()?))
        })
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }
}

impl Entry<'_> {
    /// True for what is kept longest when there is no room: warnings and
    /// worse, and what happened to trades.
    pub(super) fn matters(&self) -> bool {
        self.level <= Level::WARN || self.component == Component::TradingActivity
    }

    /// Appends the entry to a buffer.
    pub(super) fn encode(&self, buffer: &mut Vec<u8>) {
        let texts = [self.target, self.correlation_id, self.event_type, self.message];
        let body = texts.iter().map(|text| text.len()).sum::<usize>() + self.fields.bytes.len();
        let mut head = [0; HEAD_BYTES];
        let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &small(HEAD_BYTES + body).to_le_bytes());
        put(4, &self.at_us.to_le_bytes());
        put(12, &self.duration_us.unwrap_or(NO_DURATION).to_le_bytes());
        put(20, &[level_number(self.level), self.component.number()]);
        for (text, at) in texts.iter().zip([22, 26, 30, 34]) {
            put(at, &small(text.len()).to_le_bytes());
        }
        buffer.reserve(HEAD_BYTES + body);
        buffer.extend_from_slice(&head);
        for text in texts {
            buffer.extend_from_slice(text.as_bytes());
        }
        buffer.extend_from_slice(self.fields.bytes);
    }
}

/// Reads the entry at the beginning of `bytes`, and what follows it.
pub(super) fn decode(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let word = |at: usize| -> Option<usize> {
        usize::try_from(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)).ok()
    };
    let long = |at: usize| -> Option<[u8; 8]> { bytes.get(at..at + 8)?.try_into().ok() };
    let whole = bytes.get(..word(0)?)?;
    let mut at = HEAD_BYTES;
    let mut text = |length: usize| -> Option<&str> {
        let text = whole.get(at..at + length)?;
        at += length;
        std::str::from_utf8(text).ok()
    };
    let (target, correlation_id) = (text(word(22)?)?, text(word(26)?)?);
    let (event_type, message) = (text(word(30)?)?, text(word(34)?)?);
    let duration_us = u64::from_le_bytes(long(12)?);
    let entry = Entry {
        at_us: i64::from_le_bytes(long(4)?),
        level: level_of(*bytes.get(20)?),
        component: Component::from_number(*bytes.get(21)?),
        duration_us: Some(duration_us).filter(|us| *us != NO_DURATION),
        target,
        correlation_id,
        event_type,
        message,
        fields: Fields { bytes: whole.get(at..)? },
    };
    Some((entry, bytes.get(whole.len()..)?))
}

fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// 0 for ERROR to 4 for TRACE.
pub(super) const fn level_number(level: Level) -> u8 {
    match level {
        Level::ERROR => 0,
        Level::WARN => 1,
        Level::INFO => 2,
        Level::DEBUG => 3,
        Level::TRACE => 4,
    }
}

fn level_of(number: u8) -> Level {
    match number {
        0 => Level::ERROR,
        1 => Level::WARN,
        2 => Level::INFO,
        3 => Level::DEBUG,
        _ => Level::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_one_after_the_other() {
        let mut fields = FieldsBuffer::default();
        for (name, kind, value) in [("price", Kind::Plain, "7"), ("why", Kind::Text, "")] {
            fields.begin(name, kind);
            fields.value().extend_from_slice(value.as_bytes());
            fields.end();
        }
        let first = Entry {
            at_us: -5,
            level: Level::WARN,
            component: Component::Api,
            duration_us: Some(0),
            target: "a::b",
            correlation_id: "20261126_001",
            event_type: "",
            message: "grüße",
            fields: fields.as_fields(),
        };
        let none = FieldsBuffer::default();
        let second = Entry { duration_us: None, fields: none.as_fields(), message: "", ..first };
        let mut bytes = Vec::new();
        first.encode(&mut bytes);
        second.encode(&mut bytes);
        let (read, rest) = decode(&bytes).unwrap();
        assert_eq!(read, first);
        let read: Vec<_> = read.fields.iter().collect();
        assert_eq!(read, [("price", Kind::Plain, "7"), ("why", Kind::Text, "")]);
        let (read, rest) = decode(rest).unwrap();
        assert_eq!(read, second);
        assert!(rest.is_empty() && decode(rest).is_none());
        assert!(decode(&bytes[..bytes.len() / 3]).is_none());
    }
}
