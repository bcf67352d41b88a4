//! How an entry reads: as a line of text for people, or as a line of JSON.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate};
use tracing::Level;

use super::entry::{Entry, Fields, Kind};
use crate::market::time::IST;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `TIME LEVEL component correlation message key=value`
    Text,
    /// One object.
    Json,
}

/// Bytes of a line before its texts begin: the time with its offset.
pub(super) const TIME_BYTES: usize = "2026-11-26T09:15:00.123+05:30".len();

/// Writes times in India, remembering the last second.
#[derive(Debug)]
pub(super) struct Stamps {
    second: i64,
    date: NaiveDate,
    text: String,
}

impl Stamps {
    pub(super) fn new() -> Stamps {
        Stamps { second: i64::MIN, date: NaiveDate::MIN, text: String::new() }
    }

    fn look_up(&mut self, second: i64) {
        if second != self.second {
            let at = DateTime::from_timestamp(second, 0).unwrap_or_default().with_timezone(&IST);
            self.second = second;
            self.date = at.date_naive();
            self.text.clear();
            let _ = write!(self.text, "{}", at.format("%Y-%m-%dT%H:%M:%S."));
        }
    }

    /// The date in India of an instant in microseconds.
    pub(super) fn date(&mut self, at_us: i64) -> NaiveDate {
        self.look_up(at_us.div_euclid(1_000_000));
        self.date
    }

    fn append(&mut self, at_us: i64, line: &mut Vec<u8>) {
        self.look_up(at_us.div_euclid(1_000_000));
        let ms = at_us.rem_euclid(1_000_000) / 1000;
        line.extend_from_slice(self.text.as_bytes());
        for place in [100, 10, 1] {
            line.push(b'0' + u8::try_from(ms / place % 10).unwrap_or(0));
        }
        line.extend_from_slice(b"+05:30");
    }
}

/// The name of a level, as wide as the others.
const fn padded(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN ",
        Level::INFO => "INFO ",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

/// Appends the line of an entry, with its end.
pub(super) fn render(
    format: Format,
    service: &str,
    entry: &Entry<'_>,
    stamps: &mut Stamps,
    line: &mut Vec<u8>,
) {
    match format {
        Format::Text => text(entry, stamps, line),
        Format::Json => object(service, entry, stamps, line),
    }
}

fn text(entry: &Entry<'_>, stamps: &mut Stamps, line: &mut Vec<u8>) {
    stamps.append(entry.at_us, line);
    line.push(b' ');
    line.extend_from_slice(padded(entry.level).as_bytes());
    line.push(b' ');
    line.extend_from_slice(entry.component.as_str().as_bytes());
    line.push(b' ');
    let id = if entry.correlation_id.is_empty() { "-" } else { entry.correlation_id };
    plain(id, line);
    line.push(b' ');
    plain(entry.message, line);
    if let Some(us) = entry.duration_us {
        line.extend_from_slice(b" took_us=");
        number(us, line);
    }
    if !entry.event_type.is_empty() {
        line.extend_from_slice(b" event_type=");
        plain(entry.event_type, line);
    }
    for (name, kind, value) in entry.fields.iter() {
        line.push(b' ');
        plain(name, line);
        line.push(b'=');
        let quotes = kind == Kind::Text
            && (value.is_empty() || value.bytes().any(|byte| b" \"=".contains(&byte)));
        if quotes {
            line.push(b'"');
            for part in value.split_inclusive('"') {
                match part.strip_suffix('"') {
                    Some(before) => {
                        plain(before, line);
                        line.extend_from_slice(b"\\\"");
                    }
                    None => plain(part, line),
                }
            }
            line.push(b'"');
        } else {
            plain(value, line);
        }
    }
    line.push(b'\n');
}

/// Appends text on one line: what would end it, or steer a terminal, is
/// written as an escape.
fn plain(text: &str, line: &mut Vec<u8>) {
    if !text.bytes().any(|byte| byte < b' ' || byte == 0x7f || byte == 0xc2) {
        line.extend_from_slice(text.as_bytes());
        return;
    }
    let mut buffer = [0; 4];
    for letter in text.chars() {
        match letter {
            '\n' => line.extend_from_slice(b"\\n"),
            '\t' => line.push(b' '),
            _ if letter.is_control() => {
                line.extend_from_slice(letter.escape_unicode().to_string().as_bytes());
            }
            _ => line.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes()),
        }
    }
}

fn object(service: &str, entry: &Entry<'_>, stamps: &mut Stamps, line: &mut Vec<u8>) {
    line.extend_from_slice(b"{\"timestamp\":\"");
    stamps.append(entry.at_us, line);
    line.extend_from_slice(b"\",\"level\":\"");
    line.extend_from_slice(entry.level.as_str().as_bytes());
    line.push(b'"');
    let id = entry.correlation_id;
    for (name, value) in [
        ("service", service),
        ("component", entry.component.as_str()),
        ("target", entry.target),
        ("correlation_id", id),
        ("event_type", entry.event_type),
        ("message", entry.message),
    ] {
        if !value.is_empty() || name == "message" {
            line.push(b',');
            quoted(name, line);
            line.push(b':');
            quoted(value, line);
        }
    }
    if let Some(us) = entry.duration_us {
        line.extend_from_slice(b",\"took_us\":");
        number(us, line);
    }
    line.extend_from_slice(b",\"fields\":");
    fields_object(entry.fields, line);
    line.extend_from_slice(b"}\n");
}

/// Appends the fields as a JSON object.
pub(super) fn fields_object(fields: Fields<'_>, line: &mut Vec<u8>) {
    line.push(b'{');
    for (position, (name, kind, value)) in fields.iter().enumerate() {
        if position > 0 {
            line.push(b',');
        }
        quoted(name, line);
        line.push(b':');
        match kind {
            Kind::Text => quoted(value, line),
            Kind::Plain => line.extend_from_slice(value.as_bytes()),
        }
    }
    line.push(b'}');
}

fn quoted(text: &str, line: &mut Vec<u8>) {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        // A text is always JSON, and a vector takes all of it.
        let _ = serde_json::to_writer(line, text);
    } else {
        line.push(b'"');
        line.extend_from_slice(text.as_bytes());
        line.push(b'"');
    }
}

fn number(value: u64, line: &mut Vec<u8>) {
    let _ = std::io::Write::write_fmt(line, format_args!("{value}"));
}

#[cfg(test)]
mod tests {
    use super::super::component::Component;
    use super::super::entry::FieldsBuffer;
    use super::*;

    fn line(format: Format, message: &str, id: &str, values: &[(&str, Kind, &str)]) -> String {
        let mut fields = FieldsBuffer::default();
        for (name, kind, value) in values {
            fields.begin(name, *kind);
            fields.value().extend_from_slice(value.as_bytes());
            fields.end();
        }
        let entry = Entry {
            at_us: 1_795_664_700_123_999,
            level: Level::WARN,
            component: Component::Api,
            duration_us: None,
            target: "here",
            correlation_id: id,
            event_type: "",
            message,
            fields: fields.as_fields(),
        };
        let mut line = Vec::new();
        render(format, "auth", &entry, &mut Stamps::new(), &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn text_stays_on_its_line() {
        let values = [
            ("status", Kind::Plain, "502"),
            ("why", Kind::Text, "bad \"gate\"way"),
            ("path", Kind::Text, "/x"),
            ("empty", Kind::Text, ""),
        ];
        assert_eq!(
            line(Format::Text, "no\nsuch \u{1b}[31m thing", "20261126_001", &values),
            "2026-11-26T09:15:00.123+05:30 WARN  api 20261126_001 no\\nsuch \\u{1b}[31m thing \
             status=502 why=\"bad \\\"gate\\\"way\" path=/x empty=\"\"\n"
        );
        assert!(line(Format::Text, "grüße", "", &[]).ends_with("api - grüße\n"));
    }

    #[test]
    fn json_says_the_same() {
        let values = [("n", Kind::Plain, "7"), ("why", Kind::Text, "a\"\n")];
        let line = line(Format::Json, "no\nsuch", "20261126_001", &values);
        assert_eq!(line.matches('\n').count(), 1);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        let wanted = serde_json::json!({
            "timestamp": "2026-11-26T09:15:00.123+05:30", "level": "WARN", "service": "auth",
            "component": "api", "target": "here", "correlation_id": "20261126_001",
            "message": "no\nsuch", "fields": {"n": 7, "why": "a\"\n"},
        });
        assert_eq!(read, wanted);
    }

    #[test]
    fn the_time_fills_its_place() {
        assert_eq!(line(Format::Text, "", "", &[]).find(" WARN"), Some(TIME_BYTES));
    }

    proptest::proptest! {
        #[test]
        fn any_message_is_one_line_and_whole_json(message in any_text(), value in any_text()) {
            let values = [("value", Kind::Text, value.as_str())];
            let text = line(Format::Text, &message, "", &values);
            proptest::prop_assert_eq!(text.lines().count(), 1);
            proptest::prop_assert!(!text.trim_end_matches('\n').contains(char::is_control));
            let json = line(Format::Json, &message, "", &values);
            let read: serde_json::Value = serde_json::from_str(&json).unwrap();
            proptest::prop_assert_eq!(read["message"].as_str(), Some(message.as_str()));
            proptest::prop_assert_eq!(read["fields"]["value"].as_str(), Some(value.as_str()));
        }
    }

    fn any_text() -> impl proptest::strategy::Strategy<Value = String> {
        proptest::prelude::any::<String>()
    }
}
