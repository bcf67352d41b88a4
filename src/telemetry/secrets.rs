//! What of a configuration no line may show: its secrets, and the parts of
//! them that libraries repeat alone, such as the password of an address.

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::Config;

/// Values of headers from this length on are hidden in lines wherever they are.
const HEADER_KEY_MIN: usize = 12;

/// Parts of an address that are hidden: from the first length on when they
/// have digits or large letters, from the second on whatever they are. Others
/// are words, which are in many lines.
const PART_MIN: usize = 10;
const LONG_PART_MIN: usize = 20;

/// All of them.
pub(super) fn of(config: &Config) -> Vec<SecretString> {
    let logging = &config.logging;
    let mut all: Vec<SecretString> = [
        &config.api_secret,
        &config.telegram_token,
        &config.auth.api_token,
        &config.health.webhook_url,
        &logging.postgres_url,
        &logging.otlp_headers,
    ]
    .into_iter()
    .cloned()
    .collect();
    // A bot's number is no secret, what follows it is.
    let token = config.telegram_token.expose_secret().split_once(':');
    all.extend(token.map(|(_, token)| token.into()));
    for value in logging.otlp_headers().unwrap_or_default().values() {
        // A short one is rather a name than a key, and names are in many lines.
        let key = value.to_str().unwrap_or_default().rsplit(' ').next().unwrap_or_default();
        if key.len() >= HEADER_KEY_MIN {
            all.push(key.into());
        }
    }
    for address in [&config.health.webhook_url, &logging.postgres_url] {
        all.extend(parts(address.expose_secret()));
    }
    all
}

/// The secret parts of an address, as they stand in it and as they are meant.
fn parts(address: &str) -> Vec<SecretString> {
    let Ok(url) = Url::parse(address) else { return password_of_pairs(address) };
    let mut parts: Vec<String> = url.password().map(both).unwrap_or_default();
    for part in url.path_segments().into_iter().flatten().filter(|part| is_key(part)) {
        parts.extend(both(part));
    }
    let raw = url.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    for ((name, meant), (_, stands)) in url.query_pairs().zip(raw) {
        if is_key(stands) || names_key(&name) {
            parts.extend([meant.into_owned(), stands.to_string()]);
        }
    }
    parts.into_iter().map(SecretString::from).collect()
}

fn is_key(part: &str) -> bool {
    let odd = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    part.len() >= LONG_PART_MIN || part.len() >= PART_MIN && part.bytes().any(odd)
}

fn names_key(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "token", "key", "secret", "sig", "auth"].iter().any(|word| name.contains(word))
}

/// As it stands, and with its escapes resolved.
fn both(part: &str) -> Vec<String> {
    let mut meant = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escape = (*byte == b'%').then(|| after.get(..2)).flatten();
        let code = escape.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(code) => {
                meant.push(code);
                rest = &after[2..];
            }
            None => {
                meant.push(*byte);
                rest = after;
            }
        }
    }
    std::iter::once(part.to_string()).chain(String::from_utf8(meant).ok()).collect()
}

/// The password of `host=h user=u password='p w'`, in which a backslash makes
/// the next character stand for itself.
fn password_of_pairs(address: &str) -> Vec<SecretString> {
    let named = address.match_indices("password").filter_map(|(at, name)| {
        let (before, value) = (&address[..at], &address[at + name.len()..]);
        let alone = before.is_empty() || before.ends_with(char::is_whitespace);
        value.trim_start().strip_prefix('=').filter(|_| alone)
    });
    named.map(value_of_pair).map(SecretString::from).collect()
}

fn value_of_pair(value: &str) -> String {
    let value = value.trim_start();
    let quoted = value.strip_prefix('\'');
    let (mut password, mut letters) = (String::new(), quoted.unwrap_or(value).chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => password.extend(letters.next()),
            '\'' if quoted.is_some() => break,
            _ if quoted.is_none() && letter.is_whitespace() => break,
            _ => password.push(letter),
        }
    }
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_keys_of_addresses_are_secrets_of_their_own() {
        for (address, wanted) in [
            ("postgresql://u:hunt%4022@db/logs", vec!["hunt%4022", "hunt@22"]),
            ("postgres://u@db/logs?password=hunter%3D2", vec!["hunter=2", "hunter%3D2"]),
            ("host=db user=u password=hunter2 dbname=x", vec!["hunter2"]),
            (r"host=db password = 'hunt\'er 2' dbname=x", vec!["hunt'er 2"]),
            ("host=password-db dbname=passwords password=hunter2", vec!["hunter2"]),
            ("host=db user=u", vec![]),
            ("postgresql://u@db/logs", vec![]),
            (
                "https://hooks.example/services/T0AB12CD34/notifications/abcdefghijklmnopqrstuv",
                vec![
                    "T0AB12CD34",
                    "T0AB12CD34",
                    "abcdefghijklmnopqrstuv",
                    "abcdefghijklmnopqrstuv",
                ],
            ),
            ("https://h.example/x?level=warning&token=hunter2", vec!["hunter2", "hunter2"]),
            ("https://h.example/x?channel=trading-alerts", vec![]),
        ] {
            let found = parts(address);
            let found: Vec<&str> = found.iter().map(|part| part.expose_secret()).collect();
            assert_eq!(found, wanted, "{address}");
        }
    }

    #[test]
    fn a_configuration_has_all_of_its_secrets_hidden() {
        let text = serde_json::json!({
            "telegram_token": "123456:AAbb-ccDDeeFF",
            "health": { "webhook_url": "https://hooks.example/services/T0AB12CD34/xYz0123456789" },
            "logging": {
                "postgres_url": "postgresql://u:hunter22@db/logs",
                "otlp_headers": "Authorization=Bearer k3yk3yk3yk3y",
            },
        });
        let config = Config::parse(&text.to_string()).unwrap();
        let all = of(&config);
        for wanted in ["AAbb-ccDDeeFF", "T0AB12CD34", "xYz0123456789", "hunter22", "k3yk3yk3yk3y"] {
            assert!(all.iter().any(|secret| secret.expose_secret() == wanted), "{wanted}");
        }
    }
}
