//! What can be wrong with a configuration.

use std::path::PathBuf;

/// One mistake, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Problem {
    /// The key, such as `risk_management.max_daily_loss`.
    pub path: String,
    /// What is wrong with it and what to do.
    pub message: String,
}

impl Problem {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { path: path.into(), message: message.into() }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}; `pivotctl init` writes one", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not JSON.
    #[error("{} is not JSON", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A systemd credential cannot be read.
    #[error("cannot read the credential {}", path.display())]
    ReadCredential {
        /// The credential's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others can read the secrets of a live account.
    #[error(
        "{} is readable by everyone on this machine (mode {mode:03o}); live trading needs \
         `chmod 600 {}`", path.display(), path.display()
    )]
    WorldReadable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Keys or values are wrong.
    #[error("{}", lines(problems))]
    Invalid {
        /// All that was found.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// The mistakes in keys and values; empty when the error is another.
    pub fn problems(&self) -> &[Problem] {
        match self {
            ConfigError::Invalid { problems } => problems,
            ConfigError::Read { .. }
            | ConfigError::NotJson { .. }
            | ConfigError::ReadCredential { .. }
            | ConfigError::WorldReadable { .. } => &[],
        }
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> ConfigError {
        ConfigError::Invalid { problems: vec![problem] }
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    match lines.as_slice() {
        [one] => format!("the configuration has a mistake: {one}"),
        many => format!("the configuration has {} mistakes:\n  {}", many.len(), many.join("\n  ")),
    }
}
