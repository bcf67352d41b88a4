//! The last gate before a line is written: whatever looks like a secret, or
//! is one of ours, is replaced by three stars. Types keep secrets out of log
//! lines in the first place ([`secrecy`]); this catches what slips through,
//! such as an address in an error of a library.

use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, BuildError, Match, MatchKind};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

/// What stands in place of a secret.
const STARS: &[u8] = b"***";

/// Words after which a secret follows: a name, then `=`, `:`, quotes or
/// blanks, then the value.
const NAMES: [&str; 20] = [
    "access_token",
    "ACCESS_TOKEN",
    "request_token",
    "refresh_token",
    "public_token",
    "enctoken",
    "api_secret",
    "API_SECRET",
    "api_token",
    "telegram_token",
    "TELEGRAM_TOKEN",
    "checksum",
    "authorization",
    "Authorization",
    "AUTHORIZATION",
    BEARER,
    BEARER_TOO,
    "password",
    "PASSWORD",
    BOT,
];

/// What is followed by a token without a sign between.
const BEARER: &str = "bearer ";
const BEARER_TOO: &str = "Bearer ";

/// What is followed by a bot's number and token.
const BOT: &str = "/bot";

/// Shorter texts are not taken for secrets: they would hide half of a log.
const SECRET_BYTES_MIN: usize = 6;

/// Characters of a value after a name, at least.
const VALUE_BYTES_MIN: usize = 4;

/// The beginning of a secret that a cut leaves is taken away from this length
/// on.
const PART_BYTES_MIN: usize = 4;

/// Knows the secrets of this process.
#[derive(Debug)]
pub(super) struct Scrubber {
    inner: RwLock<Arc<Inner>>,
}

/// The search, made anew when a secret is added.
pub(super) struct Inner {
    search: AhoCorasick,
    secrets: Vec<SecretString>,
    /// The secrets as they are written in lines.
    forms: Vec<SecretString>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

impl Inner {
    fn new(secrets: Vec<SecretString>) -> Result<Inner, BuildError> {
        let forms: Vec<SecretString> = secrets.iter().flat_map(forms).collect();
        let exact = forms.iter().map(|form| form.expose_secret().as_bytes());
        // Names first: what follows them is hidden whole, whoever knows it.
        let patterns: Vec<&[u8]> = NAMES.iter().map(|name| name.as_bytes()).chain(exact).collect();
        let search =
            AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(patterns)?;
        Ok(Inner { search, secrets, forms })
    }

    /// How much of a text that was cut stays: all but the beginning of a
    /// secret at its end, which no search would know any more.
    pub(super) fn without_part(&self, text: &[u8]) -> usize {
        let part = |form: &SecretString| {
            let form = form.expose_secret().as_bytes();
            let longest = (form.len() - 1).min(text.len());
            (PART_BYTES_MIN..=longest).rev().find(|length| text.ends_with(&form[..*length]))
        };
        text.len() - self.forms.iter().filter_map(part).max().unwrap_or(0)
    }

    /// Replaces secrets in `line` from `from` on.
    pub(super) fn scrub(&self, line: &mut Vec<u8>, from: usize) {
        let Some(found) = self.find(line, from) else { return };
        let mut clean = Vec::with_capacity(line.len());
        clean.extend_from_slice(&line[..from]);
        let (mut kept, mut next) = (from, Some(found));
        while let Some(found) = next {
            let (start, end) = self.hidden(line, &found);
            if start < end {
                clean.extend_from_slice(&line[kept..start]);
                clean.extend_from_slice(STARS);
            } else {
                clean.extend_from_slice(&line[kept..end]);
            }
            kept = end;
            next = self.find(line, kept);
        }
        clean.extend_from_slice(&line[kept..]);
        *line = clean;
    }

    fn find(&self, line: &[u8], from: usize) -> Option<Match> {
        self.search.find(aho_corasick::Input::new(line).range(from..))
    }

    /// Which part of the line a match hides; an empty part at the end of the
    /// match when it hides nothing.
    fn hidden(&self, line: &[u8], found: &Match) -> (usize, usize) {
        if found.pattern().as_usize() >= NAMES.len() {
            return (found.start(), found.end());
        }
        let skip = |at: usize, skipped: fn(u8) -> bool| {
            line[at..].iter().position(|byte| !skipped(*byte)).map_or(line.len(), |n| at + n)
        };
        let is_between = |byte: u8| b"=: \"'\\([".contains(&byte);
        let is_value = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+%~".contains(&byte);
        let mut start = skip(found.end(), is_between);
        // `Authorization: token key:value`, `access_token: Some("…")`: neither
        // the scheme nor the wrapping is a value.
        for scheme in [&b"token "[..], b"basic ", b"bearer ", b"some("] {
            let word = line.get(start..start + scheme.len());
            if word.is_some_and(|word| word.eq_ignore_ascii_case(scheme)) {
                start = skip(start + scheme.len(), is_between);
            }
        }
        let mut end = skip(start, is_value);
        let value = &line[start..end];
        // `/bottle` and `/bot.rs:12` are no addresses of a bot, and
        // `access_token missing` is no token.
        let told = match NAMES[found.pattern().as_usize()] {
            BOT => {
                let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
                digits > 0 && value.get(digits) == Some(&b':')
            }
            BEARER | BEARER_TOO => true,
            _ => line[found.end()..start].iter().any(|byte| b"=:".contains(byte)),
        };
        if !told || value.len() < VALUE_BYTES_MIN {
            return (found.end(), found.end());
        }
        // One of ours may have characters that end a value elsewhere.
        let ours = |found: &Match| found.pattern().as_usize() >= NAMES.len();
        while let Some(inside) = self.find(line, start).filter(|it| ours(it) && it.start() < end) {
            start = start.min(inside.start());
            if inside.end() <= end {
                break;
            }
            end = skip(inside.end(), is_value);
        }
        (start, end)
    }
}

/// A secret as itself, in quotes of JSON, of Rust and of our lines of text,
/// one within the other, and as a part of an address.
fn forms(secret: &SecretString) -> Vec<SecretString> {
    fn inside(quoted: &str) -> String {
        quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_string()
    }
    // A text is always JSON.
    let json = |text: &str| inside(&serde_json::to_string(text).unwrap_or_default());
    let quotes = |text: &str| text.replace('"', "\\\"");
    let text = secret.expose_secret();
    let mut all = vec![text.to_string(), json(text), quotes(text), inside(&format!("{text:?}"))];
    let twice: Vec<String> = all.iter().flat_map(|form| [json(form), quotes(form)]).collect();
    all.extend(twice);
    if let Ok(mut url) = Url::parse("http://h") {
        url.query_pairs_mut().append_key_only(text);
        all.extend(url.query().map(str::to_string));
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(text);
        }
        all.push(url.path().trim_start_matches('/').to_string());
    }
    all.retain(|form| form.len() >= text.len());
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(SecretString::from).collect()
}

impl Scrubber {
    /// Knows what secrets look like, and none of them yet.
    ///
    /// # Errors
    /// When the search cannot be built.
    pub(super) fn new() -> Result<Scrubber, BuildError> {
        Ok(Scrubber { inner: RwLock::new(Arc::new(Inner::new(Vec::new())?)) })
    }

    /// From now on this text is hidden. Very short ones are not.
    pub(super) fn hide(&self, secret: &SecretString) {
        let text = secret.expose_secret();
        if text.len() < SECRET_BYTES_MIN {
            return;
        }
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.secrets.iter().any(|known| known.expose_secret() == text) {
            return;
        }
        let mut secrets = inner.secrets.clone();
        secrets.push(secret.clone());
        if let Ok(with_it) = Inner::new(secrets) {
            *inner = Arc::new(with_it);
        }
    }

    /// At most so many bytes of a text, and nothing of a secret at their end.
    pub(super) fn clipped(&self, text: &str, bytes_max: usize) -> String {
        let mut end = text.floor_char_boundary(bytes_max);
        if end < text.len() {
            end = self.current().without_part(&text.as_bytes()[..end]);
        }
        text.get(..end).unwrap_or_default().to_string()
    }

    /// The search as it is now.
    pub(super) fn current(&self) -> Arc<Inner> {
        Arc::clone(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubbed(text: &str) -> String {
        let scrubber = Scrubber::new().unwrap();
        for secret in ["s3cr3t-of-ours", "tiny", "abcd$efgh-ours"] {
            scrubber.hide(&SecretString::from(secret));
        }
        let mut line = format!("0 {text}").into_bytes();
        scrubber.current().scrub(&mut line, 2);
        String::from_utf8(line).unwrap().split_off(2)
    }

    #[test]
    fn secrets_are_hidden() {
        for (text, wanted) in [
            ("nothing here", "nothing here"),
            ("is s3cr3t-of-ours!", "is ***!"),
            ("s3cr3t-of-ourss3cr3t-of-ours", "******"),
            ("GET /x?access_token=abcd1234&y=1", "GET /x?access_token=***&y=1"),
            (r#"{"request_token": "abcd1234", "a": 1}"#, r#"{"request_token": "***", "a": 1}"#),
            (r#"{\"access_token\":\"abcd\"}"#, r#"{\"access_token\":\"***\"}"#),
            ("Authorization: token key1:abcd", "Authorization: token ***"),
            ("authorization=Bearer abcd.ef", "authorization=Bearer ***"),
            (
                "https://api.telegram.org/bot12345:AAbb-cc_dd/sendMessage failed",
                "https://api.telegram.org/bot***/sendMessage failed",
            ),
            ("request_token missing", "request_token missing"),
            ("password=abcd$efgh-ours x", "password=*** x"),
            ("access_token=*** stays", "access_token=*** stays"),
            ("src/bottle.rs", "src/bottle.rs"),
            ("src/telegram/bot.rs:120:9", "src/telegram/bot.rs:120:9"),
            ("/var/log/bot_error_20261126.1.log: full", "/var/log/bot_error_20261126.1.log: full"),
            ("access_token: Some(\"abcd1234\")", "access_token: Some(\"***\")"),
            ("tiny", "tiny"),
        ] {
            assert_eq!(scrubbed(text), wanted);
        }
    }

    #[test]
    fn what_stands_before_the_texts_is_left_alone() {
        let scrubber = Scrubber::new().unwrap();
        let mut line = b"password=abcdef x".to_vec();
        scrubber.current().scrub(&mut line, 16);
        assert_eq!(line, b"password=abcdef x");
    }

    #[test]
    fn a_secret_is_known_in_whatever_quotes_it_stands() {
        let secret = r#"pa"ss\wo$rd with=all"#;
        let scrubber = Scrubber::new().unwrap();
        scrubber.hide(&SecretString::from(secret));
        let json = serde_json::to_string(secret).unwrap();
        let mut url = Url::parse("http://h/").unwrap();
        url.path_segments_mut().unwrap().push(secret);
        url.query_pairs_mut().append_pair("q", secret);
        for text in [
            secret.to_string(),
            format!("{secret:?}"),
            json.clone(),
            serde_json::to_string(&json).unwrap(),
            serde_json::to_string(&format!("{secret:?}")).unwrap(),
            format!("x=\"{}\"", secret.replace('"', "\\\"")),
            url.to_string(),
        ] {
            let mut line = text.clone().into_bytes();
            scrubber.current().scrub(&mut line, 0);
            let line = String::from_utf8(line).unwrap();
            assert!(line.contains("***"), "{text} became {line}");
            for part in ["pa", "wo", "rd", "all"] {
                assert!(!line.contains(part), "{text} became {line}");
            }
        }
    }

    #[test]
    fn a_cut_leaves_no_beginning_of_a_secret() {
        let scrubber = Scrubber::new().unwrap();
        scrubber.hide(&SecretString::from("s3cr3t-of-ours"));
        for (text, bytes_max, wanted) in [
            ("is s3cr3t-of-ours", 3, "is "),
            ("is s3cr3t-of-ours", 6, "is s3c"),
            ("is s3cr3t-of-ours", 7, "is "),
            ("is s3cr3t-of-ours", 16, "is "),
            ("is s3cr3t-of-ours", 17, "is s3cr3t-of-ours"),
            ("is s3cr3t-of-ours!", 17, "is s3cr3t-of-ours"),
            ("is s3cr3t-of", 99, "is s3cr3t-of"),
            ("größer", 3, "gr"),
        ] {
            assert_eq!(scrubber.clipped(text, bytes_max), wanted, "{text} {bytes_max}");
        }
    }

    proptest::proptest! {
        /// No secret survives, whatever surrounds it; nor does this panic.
        #[test]
        fn no_secret_survives(before in ".{0,40}", after in ".{0,40}") {
            let text = scrubbed(&format!("{before}s3cr3t-of-ours{after}"));
            proptest::prop_assert!(!text.contains("s3cr3t-of-ours"));
        }
    }
}
