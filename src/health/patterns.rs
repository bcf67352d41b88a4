//! Looks for texts in what the services' logs grow by.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The logs of the services.
const FILES: [(&str, &str); 3] =
    [("trading", "trading.log"), ("auth", "auth_server.log"), ("bot", "bot.log")];

/// Bytes of one file that are read in one look. Of more, the newest.
const LOOK_MAX: u64 = 1 << 20;

/// What to look for, and how far it was looked.
#[derive(Debug)]
pub(super) struct Patterns {
    texts: Vec<String>,
    tails: Vec<Tail>,
}

#[derive(Debug)]
struct Tail {
    service: &'static str,
    path: PathBuf,
    /// Number of the file and the byte to go on at; `None` before the first
    /// look, which only finds the end.
    at: Option<(u64, u64)>,
}

impl Patterns {
    pub(super) fn new(texts: &[String], folder: &Path) -> Patterns {
        let tail = |(service, name)| Tail { service, path: folder.join(name), at: None };
        Patterns { texts: texts.to_vec(), tails: FILES.map(tail).into() }
    }

    /// Services whose log has a text since the last look, and the text.
    pub(super) fn look(&mut self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if self.texts.is_empty() {
            return found;
        }
        for tail in &mut self.tails {
            // A log that cannot be read is told of by whoever writes it.
            let news = tail.news().unwrap_or_default();
            let news = String::from_utf8_lossy(&news);
            for text in self.texts.iter().filter(|text| news.contains(text.as_str())) {
                found.push((tail.service.to_string(), text.clone()));
            }
        }
        found
    }
}

impl Tail {
    /// The whole lines since the last look.
    fn news(&mut self) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        let meta = file.metadata()?;
        let (number, length) = (meta.ino(), meta.len());
        let from = match self.at {
            None => length,
            Some((known, at)) if known == number && at <= length => at,
            // Rotated: a new file, or the old one cut off.
            Some(_) => 0,
        };
        let from = from.max(length.saturating_sub(LOOK_MAX));
        file.seek(SeekFrom::Start(from))?;
        let mut news = Vec::new();
        file.take(LOOK_MAX).read_to_end(&mut news)?;
        let whole = news.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        news.truncate(whole);
        self.at = Some((number, from + whole as u64));
        Ok(news)
    }
}

#[cfg(test)]
mod tests {
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
        std::fs::rename(&log, folder.path().join("trading.log.1")).unwrap();
        append(&log, "InsufficientFunds\n");
        assert_eq!(patterns.look(), vec![found]);
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
