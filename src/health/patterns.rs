//! Looks for texts in what the services' logs grow by.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::telemetry::follow::{FollowError, Follower};

/// The logs of the services.
const LOGS: [(&str, &str); 3] = [("trading", "trading"), ("auth", "auth_server"), ("bot", "bot")];

/// Bytes of one log that are read in one look. Of more, the newest.
const LOOK_MAX: u64 = 1 << 20;

/// What to look for, and how far it was looked.
#[derive(Debug)]
pub(super) struct Patterns {
    texts: Vec<String>,
    folder: PathBuf,
    /// None before the first look, which only finds the end.
    logs: [Option<Follower>; LOGS.len()],
}

impl Patterns {
    pub(super) fn new(texts: &[String], folder: &Path) -> Patterns {
        Patterns { texts: texts.to_vec(), folder: folder.to_owned(), logs: [const { None }; 3] }
    }

    /// Services whose log has a text since the last look, and the text.
    pub(super) fn look(&mut self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if self.texts.is_empty() {
            return found;
        }
        for ((service, stem), log) in LOGS.iter().zip(&mut self.logs) {
            // A log that cannot be read is told of by whoever writes it.
            let news = news(&self.folder, stem, log).unwrap_or_default();
            for text in &self.texts {
                if news.iter().any(|line| line.contains(text.as_str())) {
                    found.push(((*service).to_string(), text.clone()));
                }
            }
        }
        found
    }
}

/// The whole lines since the last look.
fn news(
    folder: &Path,
    stem: &str,
    log: &mut Option<Follower>,
) -> Result<VecDeque<String>, FollowError> {
    match log {
        Some(follower) => follower.look(),
        None => {
            *log = Some(Follower::begin(folder, stem)?.at_most(LOOK_MAX));
            Ok(VecDeque::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use super::*;

    fn append(path: &Path, text: &str) {
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn only_news_is_looked_at_line_by_line_and_through_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("trading.log");
        append(&log, "old InsufficientFunds\n");
        let texts = ["InsufficientFunds".to_string(), "halt".to_string()];
        let mut patterns = Patterns::new(&texts, folder.path());
        assert_eq!(patterns.look(), []);
        append(&log, "all is well\nInsufficient");
        assert_eq!(patterns.look(), []);
        append(&log, "Funds, said the broker\n");
        let found = ("trading".to_string(), "InsufficientFunds".to_string());
        assert_eq!(patterns.look(), vec![found.clone()]);
        assert_eq!(patterns.look(), []);
        // Just before the file is set aside, and after.
        append(&log, "halt\n");
        std::fs::rename(&log, folder.path().join("trading_20261126.1.log")).unwrap();
        append(&log, "InsufficientFunds\n");
        assert_eq!(patterns.look(), vec![found, ("trading".to_string(), "halt".to_string())]);
        assert_eq!(patterns.look(), []);
    }

    #[test]
    fn of_a_flood_the_newest_part_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("bot.log");
        append(&log, "begin\n");
        let mut patterns = Patterns::new(&["early".into(), "late".into()], folder.path());
        patterns.look();
        append(&log, &format!("early\n{}late\n", "x\n".repeat(1 << 20)));
        assert_eq!(patterns.look(), [("bot".to_string(), "late".to_string())]);
    }
}
