//! Texts that must be something: an address, a filter of log lines.

use reqwest::Url;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// An address with one of the schemes.
pub(super) fn address(text: &str, schemes: [&str; 2]) -> Result<(), String> {
    let usual = schemes[1];
    let wrong = |why: &str| format!("expected an address with {usual}://, was {text:?}: {why}");
    let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
    if !schemes.contains(&scheme) {
        return Err(wrong("it has another scheme"));
    }
    if rest.is_empty() || rest.starts_with('/') {
        return Err(wrong("it names no host"));
    }
    // The parser drops some white space without a word.
    if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return Err(wrong("it has white space"));
    }
    Url::parse(text).map(drop).map_err(|error| wrong(&error.to_string()))
}

/// A level, or a filter such as `info,pivot_trading::kite=debug`.
pub(super) fn level(text: &str) -> Result<(), String> {
    let wrong = |why: String| {
        format!(
            "expected error, warn, info, debug, or a tracing filter such as \
             \"info,pivot_trading::kite=debug\", was {text:?}: {why}"
        )
    };
    for part in text.split(',').map(str::trim) {
        if part.is_empty() {
            return Err(wrong("a part of it is empty".into()));
        }
        // A filter takes any other bare word for the name of a module.
        let bare = !part.contains(|letter: char| "=[]{}".contains(letter));
        if bare && part.parse::<LevelFilter>().is_err() {
            return Err(wrong(format!("{part:?} is no level")));
        }
        if part.starts_with('=') || part.matches('=').count() > 1 && !part.contains('{') {
            return Err(wrong(format!("{part:?} is not target=level")));
        }
    }
    EnvFilter::try_new(text).map(drop).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed() {
        for good in ["http://127.0.0.1:9001", "https://api.kite.trade/", "http://[::1]:80/x"] {
            assert_eq!(address(good, ["http", "https"]), Ok(()), "{good}");
        }
        assert_eq!(address("wss://ws.kite.trade", ["ws", "wss"]), Ok(()));
        for bad in [
            "http:// bad url",
            "http://bad\turl",
            "http://",
            "http:///path",
            "http://host:99999",
            "https://[::1",
            "api.kite.trade",
            "ftp://host",
            "wss://host",
            "",
        ] {
            let said = address(bad, ["http", "https"]).unwrap_err();
            assert!(said.starts_with("expected an address with https://, was "), "{bad}: {said}");
        }
    }

    #[test]
    fn a_level_is_one_or_a_filter() {
        for good in [
            "info",
            "WARN",
            "off",
            "debug,hyper=info",
            "info,pivot_trading::kite=trace",
            "warn,[order{id=7}]=debug",
        ] {
            assert_eq!(level(good), Ok(()), "{good}");
        }
        for bad in ["", " ", "lound", "info,=bad=x[", "info,loud", "a=b=c", "kite=loud", "info,,"] {
            assert!(level(bad).is_err(), "{bad:?}");
        }
        assert!(level("lound").unwrap_err().contains("\"lound\" is no level"));
    }
}
