//! A row as a line for people.

use serde_json::Value;

use super::Entry;
use crate::market::time::IST;

impl Entry {
    /// As a line for people:
    /// `2026-11-23 09:33:02.123 WARN  bot command_service 20261123_001 said a=1`.
    pub fn line(&self) -> String {
        let row = &self.row;
        let at = row.at.with_timezone(&IST).format("%Y-%m-%d %H:%M:%S%.3f");
        let id = row.correlation_id.as_deref().unwrap_or("-");
        let took = row.duration_us.map(|us| format!(" took_us={us}")).unwrap_or_default();
        let (level, service, component) = (row.level.as_str(), &row.service, &row.component);
        let message = one_line(&row.message);
        let fields = fields(&row.data);
        format!("{at} {level:<5} {service} {component} {id} {message}{took}{fields}")
    }
}

/// The fields of a row as ` name=value`.
pub fn fields(data: &str) -> String {
    match serde_json::from_str(data) {
        Ok(Value::Object(fields)) => {
            let show = |(name, value): (&String, &Value)| {
                let is_word = |text: &&str| !text.is_empty() && !text.contains([' ', '"', '=']);
                match value.as_str().filter(is_word) {
                    Some(word) => format!(" {name}={}", one_line(word)),
                    None => format!(" {name}={value}"),
                }
            };
            fields.iter().map(show).collect()
        }
        Ok(_) | Err(_) => format!(" {}", one_line(data)),
    }
}

/// Without what would move the cursor of a terminal.
pub fn one_line(text: &str) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    text.chars().map(plain).collect()
}
