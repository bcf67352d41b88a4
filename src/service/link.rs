//! Login links whose return can be told from a forged one.
//!
//! Several services hand out links (the web page, a message), one service
//! receives the return. The state that travels with the login is therefore
//! not remembered but signed: time, nonce, and a MAC under a key derived from
//! the API secret. It is good for a limited time; who receives it sees to it
//! that it is used once.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::{hex, nonce, same_secret};
use crate::config::Config;
use crate::market::Timestamp;

/// How long a link is good, in market time: from the first request of a day
/// to a late riser.
const VALID_S: i64 = 2 * 3600;

/// Block of SHA-256, for the MAC.
const BLOCK_BYTES: usize = 64;

/// Makes login links and checks what comes back.
#[derive(Debug)]
pub struct LoginLinks {
    login_url: String,
    api_key: String,
    api_secret: SecretString,
}

/// Why a returning login is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not made by us.
    #[error("this login did not start from one of our links")]
    Forged,
    /// Too old.
    #[error("this login link has expired")]
    Expired,
}

impl LoginLinks {
    /// Links for the account that the configuration names.
    pub fn new(config: &Config) -> LoginLinks {
        LoginLinks {
            login_url: config.kite.login_url.clone(),
            api_key: config.api_key.clone(),
            api_secret: config.api_secret.clone(),
        }
    }

    /// A fresh link to the broker's login page, and the state in it.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn make(&self, now: Timestamp) -> std::io::Result<(String, String)> {
        let head = format!("{:x}-{}", now.timestamp(), nonce::<8>()?);
        let state = format!("{head}-{}", self.sign(&head));
        let separator = if self.login_url.contains('?') { '&' } else { '?' };
        let url = &self.login_url;
        let key = &self.api_key;
        let link = format!("{url}{separator}v=3&api_key={key}&redirect_params=state%3D{state}");
        Ok((link, state))
    }

    /// Checks a state that came back.
    ///
    /// # Errors
    /// When it is not ours or too old.
    pub fn check(&self, state: &str, now: Timestamp) -> Result<(), LinkError> {
        let (head, signature) = state.rsplit_once('-').ok_or(LinkError::Forged)?;
        if !same_secret(signature, &self.sign(head)) {
            return Err(LinkError::Forged);
        }
        let made = head.split_once('-').map_or("", |(made, _)| made);
        let made = i64::from_str_radix(made, 16).map_err(|_| LinkError::Forged)?;
        if !(0..=VALID_S).contains(&(now.timestamp() - made)) {
            return Err(LinkError::Expired);
        }
        Ok(())
    }

    /// HMAC-SHA-256 under a key for this purpose alone.
    fn sign(&self, text: &str) -> String {
        let key =
            Sha256::new().chain_update("login-link").chain_update(self.api_secret.expose_secret());
        let mut block = [0_u8; BLOCK_BYTES];
        for (place, byte) in block.iter_mut().zip(key.finalize()) {
            *place = byte;
        }
        let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(text);
        let outer = Sha256::new()
            .chain_update(block.map(|byte| byte ^ 0x5c))
            .chain_update(inner.finalize());
        hex(&outer.finalize()[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(secret: &str) -> LoginLinks {
        let config = Config {
            api_key: "key".into(),
            api_secret: secret.to_string().into(),
            ..Config::default()
        };
        LoginLinks::new(&config)
    }

    #[test]
    fn a_link_comes_back_to_any_of_our_processes() {
        let now = chrono::DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let later = |seconds| now + chrono::TimeDelta::seconds(seconds);
        let (link, state) = links("secret").make(now).unwrap();
        let wanted = "https://kite.zerodha.com/connect/login?v=3&api_key=key&redirect_params=";
        assert_eq!(link, format!("{wanted}state%3D{state}"));
        let receiver = links("secret");
        assert_eq!(receiver.check(&state, later(60)), Ok(()));
        assert_eq!(receiver.check(&state, later(VALID_S + 1)), Err(LinkError::Expired));
        let (_, foreign) = links("other").make(now).unwrap();
        for forged in ["", "x", "1-2", "1-2-3", &foreign] {
            assert_eq!(receiver.check(forged, now), Err(LinkError::Forged), "{forged}");
        }
    }
}
