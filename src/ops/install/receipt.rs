//! What an earlier installation wrote: a file that still is as it was
//! installed may be renewed, one that somebody changed may not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Paths and digests, as `sha256sum --check` reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Receipt {
    digests: BTreeMap<PathBuf, String>,
}

impl Receipt {
    pub(super) fn parse(text: &str) -> Receipt {
        let lines = text.lines().filter_map(|line| line.split_once("  "));
        let digests = lines.map(|(digest, path)| (PathBuf::from(path), digest.to_string()));
        Receipt { digests: digests.collect() }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (path, digest) in &self.digests {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{digest}  {}", path.display());
        }
        text
    }

    pub(super) fn note(&mut self, path: &Path, content: &[u8]) {
        self.digests.insert(path.to_owned(), digest(content));
    }

    /// True when the content is what was installed at that path.
    pub(super) fn wrote(&self, path: &Path, content: &[u8]) -> bool {
        self.digests.get(path).is_some_and(|noted| *noted == digest(content))
    }
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_knows_its_files_again() {
        let mut receipt = Receipt::default();
        receipt.note(Path::new("/etc/a b"), b"text");
        let read = Receipt::parse(&receipt.text());
        assert_eq!(read, receipt);
        assert!(read.wrote(Path::new("/etc/a b"), b"text"));
        assert!(!read.wrote(Path::new("/etc/a b"), b"other"));
        assert!(!read.wrote(Path::new("/etc/a"), b"text"));
    }
}
