//! Login state: request tokens that live for minutes, access tokens that
//! live until six in the morning. Pure; the caller brings the time.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::envelope::token_error;
use crate::market::Timestamp;
use crate::market::time::{from_ist, hms, ist};
use crate::sim::exchange::ApiError;

/// How long a request token can be exchanged: "only a few minutes".
const REQUEST_TOKEN_LIFE: TimeDelta = TimeDelta::minutes(5);

/// Length of every token.
const TOKEN_LENGTH: usize = 32;

/// Request tokens kept at most; the oldest is forgotten.
const REQUEST_TOKENS_MAX: usize = 64;

/// Who is logged in.
#[derive(Debug)]
pub(super) struct Sessions {
    api_key: String,
    api_secret: SecretString,
    rng: ChaCha8Rng,
    request_tokens: BTreeMap<String, Timestamp>,
    access_tokens: BTreeMap<String, Timestamp>,
}

/// The tokens of a fresh session.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) access_token: String,
    pub(super) public_token: String,
    pub(super) enctoken: String,
}

impl Sessions {
    pub(super) fn new(api_key: &str, api_secret: SecretString, seed: u64) -> Sessions {
        Sessions {
            api_key: api_key.to_string(),
            api_secret,
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x5e55_1015),
            request_tokens: BTreeMap::new(),
            access_tokens: BTreeMap::new(),
        }
    }

    pub(super) fn is_app(&self, api_key: &str) -> bool {
        api_key == self.api_key
    }

    fn token(&mut self) -> String {
        const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut draw = || char::from(ALPHABET[self.rng.random_range(0..ALPHABET.len())]);
        (0..TOKEN_LENGTH).map(|_| draw()).collect()
    }

    /// A person has logged in: grants a request token.
    pub(super) fn grant_request_token(&mut self, now: Timestamp) -> String {
        while self.request_tokens.len() >= REQUEST_TOKENS_MAX {
            let oldest = self.request_tokens.iter().min_by_key(|(_, at)| **at);
            let Some(oldest) = oldest.map(|(token, _)| token.clone()) else { break };
            self.request_tokens.remove(&oldest);
        }
        let token = self.token();
        self.request_tokens.insert(token.clone(), now);
        token
    }

    /// Exchanges a request token for an access token, once.
    pub(super) fn exchange(
        &mut self,
        now: Timestamp,
        api_key: &str,
        request_token: &str,
        checksum: &str,
        keep_earlier: bool,
    ) -> Result<Granted, ApiError> {
        if !self.is_app(api_key) {
            return Err(ApiError::input("Invalid `api_key`."));
        }
        let expected = self.checksum(&[api_key, request_token]);
        if !checksum.eq_ignore_ascii_case(&expected) {
            return Err(token_error("Invalid `checksum`."));
        }
        let granted_at = self.request_tokens.remove(request_token);
        if granted_at.is_none_or(|at| now - at > REQUEST_TOKEN_LIFE) {
            return Err(token_error("Token is invalid or has expired."));
        }
        if !keep_earlier {
            self.access_tokens.clear();
        }
        let granted = Granted {
            access_token: self.token(),
            public_token: self.token(),
            enctoken: self.token(),
        };
        self.access_tokens.insert(granted.access_token.clone(), next_six_am(now));
        Ok(granted)
    }

    /// True while an access token opens doors.
    pub(super) fn is_alive(&self, now: Timestamp, api_key: &str, access_token: &str) -> bool {
        self.is_app(api_key) && self.is_open(now, access_token)
    }

    /// True while the session of an access token has not ended.
    pub(super) fn is_open(&self, now: Timestamp, access_token: &str) -> bool {
        self.access_tokens.get(access_token).is_some_and(|expires| now < *expires)
    }

    /// Ends one session.
    pub(super) fn end(&mut self, access_token: &str) {
        self.access_tokens.remove(access_token);
    }

    /// Ends every session, as a logout from the broker's own pages does.
    pub(super) fn end_all(&mut self) {
        self.access_tokens.clear();
    }

    /// Hex SHA-256 of the parts followed by the app's secret.
    pub(super) fn checksum(&self, parts: &[&str]) -> String {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part.as_bytes());
        }
        hasher.update(self.api_secret.expose_secret().as_bytes());
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The first six o'clock in the morning, in India, after `now`.
fn next_six_am(now: Timestamp) -> Timestamp {
    let local = ist(now);
    let today = from_ist(local.date(), hms(6, 0, 0));
    if now < today { today } else { today + TimeDelta::days(1) }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn at(day: u32, hour: u32, minute: u32) -> Timestamp {
        from_ist(NaiveDate::from_ymd_opt(2026, 11, day).unwrap(), hms(hour, minute, 0))
    }

    fn sessions() -> Sessions {
        Sessions::new("key", SecretString::from("secret"), 7)
    }

    fn login(sessions: &mut Sessions, now: Timestamp) -> String {
        let request = sessions.grant_request_token(now);
        let checksum = sessions.checksum(&["key", &request]);
        sessions.exchange(now, "key", &request, &checksum, false).unwrap().access_token
    }

    #[test]
    fn a_request_token_works_once_and_not_for_long() {
        let mut sessions = sessions();
        let request = sessions.grant_request_token(at(23, 8, 0));
        let sum = sessions.checksum(&["key", &request]);
        let wrong = sessions.exchange(at(23, 8, 1), "key", &request, "00", false).unwrap_err();
        assert_eq!(wrong.message, "Invalid `checksum`.");
        sessions.exchange(at(23, 8, 1), "key", &request, &sum, false).unwrap();
        let again = sessions.exchange(at(23, 8, 1), "key", &request, &sum, false).unwrap_err();
        assert_eq!(again.error_type, "TokenException");

        let late = sessions.grant_request_token(at(23, 8, 0));
        let sum = sessions.checksum(&["key", &late]);
        assert!(sessions.exchange(at(23, 8, 6), "key", &late, &sum, false).is_err());
    }

    #[test]
    fn an_access_token_dies_at_six() {
        let mut sessions = sessions();
        let early = login(&mut sessions, at(23, 5, 30));
        assert!(sessions.is_alive(at(23, 5, 59), "key", &early));
        assert!(!sessions.is_alive(at(23, 6, 0), "key", &early));
        let day = login(&mut sessions, at(23, 8, 0));
        assert!(sessions.is_alive(at(24, 5, 59), "key", &day));
        assert!(!sessions.is_alive(at(24, 6, 0), "key", &day));
    }

    #[test]
    fn a_second_login_ends_the_first_session() {
        let mut sessions = sessions();
        let first = login(&mut sessions, at(23, 8, 0));
        let second = login(&mut sessions, at(23, 9, 0));
        assert!(!sessions.is_alive(at(23, 9, 0), "key", &first));
        assert!(sessions.is_alive(at(23, 9, 0), "key", &second));
        sessions.end(&second);
        assert!(!sessions.is_alive(at(23, 9, 0), "key", &second));
    }

    #[test]
    fn the_checksum_is_the_documented_one() {
        // printf keytokensecret | sha256sum
        assert_eq!(
            sessions().checksum(&["key", "token"]),
            "08a03d928417ea4085557933d3b187ff2a3515b039d6054dbd230c95d978a17a"
        );
    }
}
