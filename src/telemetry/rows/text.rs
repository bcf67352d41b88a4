//! What the index of texts is given and asked.
//!
//! It knows which rows hold which three characters in a row, and nothing of
//! their order: what it finds may fit, and is looked at before it is shown.

use super::Row;

/// Runs of three characters that one search asks for at most; evenly taken
/// from a longer text.
const RUNS_MAX: usize = 16;

/// Kinds that a search names at most; beyond, what is found is looked at.
const KINDS_MAX: usize = 64;

/// Private characters, which no text that means something contains.
const MARK: char = '\u{E000}';
const FIRST: u32 = 0xE100;
const DIGITS: i64 = 4_096;

/// The text of a row under which it is found.
pub(super) fn of(row: &Row) -> String {
    let mut text = String::with_capacity(row.message.len() + row.data.len() + 1);
    text.push_str(&row.message);
    text.push('\n');
    text.push_str(&row.data);
    // The index takes a zero for the end.
    text.to_lowercase().replace('\0', " ")
}

/// A kind as exactly one run of three characters.
pub(super) fn of_kind(kind: i64) -> String {
    let digit = |value: i64| {
        let code = FIRST + u32::try_from(value.rem_euclid(DIGITS)).unwrap_or(0);
        char::from_u32(code).unwrap_or(MARK)
    };
    [MARK, digit(kind / DIGITS), digit(kind)].iter().collect()
}

/// The search for a text in small letters, among rows of these kinds or of
/// all; `None` when the text is too short for the index.
pub(super) fn search(wanted: &str, kinds: Option<&[i64]>) -> Option<String> {
    let characters: Vec<char> = wanted.chars().collect();
    let runs: Vec<String> = characters
        .windows(3)
        .filter(|run| !run.contains(&'\0'))
        .map(|run| run.iter().collect())
        .collect();
    if runs.is_empty() {
        return None;
    }
    let step = runs.len().div_ceil(RUNS_MAX);
    let mut parts: Vec<String> = runs.iter().step_by(step).map(|run| quoted(run)).collect();
    if let Some(kinds) = kinds.filter(|kinds| kinds.len() <= KINDS_MAX) {
        let kinds: Vec<String> = kinds.iter().map(|kind| quoted(&of_kind(*kind))).collect();
        parts.push(format!("({})", kinds.join(" OR ")));
    }
    Some(parts.join(" AND "))
}

fn quoted(run: &str) -> String {
    format!("\"{}\"", run.replace('"', "\"\""))
}
