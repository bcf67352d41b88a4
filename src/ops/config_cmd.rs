//! `pivotctl config`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use serde_json::{Value, json};

use super::data::usual_config;
use crate::config::{Config, ConfigError, json_schema, keys};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl config check\n  \
    PIVOT_TRADING_MODE=paper pivotctl config show\n  \
    pivotctl config schema > config.schema.json")]
pub(super) struct Args {
    /// The configuration.
    #[arg(long, default_value_os_t = usual_config(), global = true)]
    config: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Tell every mistake; exit code 1 when there is one.
    #[command(after_help = "Example:\n  pivotctl config check --config config.json --json")]
    Check {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what is in force, secrets masked.
    #[command(after_help = "Examples:\n  pivotctl config show\n  pivotctl config show --resolved")]
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Show what the engine is told instead, with all that fits the
        /// instrument filled in.
        #[arg(long, conflicts_with = "json")]
        resolved: bool,
    },
    /// Print a JSON Schema of the file.
    #[command(after_help = "Example:\n  pivotctl config schema > config.schema.json")]
    Schema,
    /// List every key with its environment variable and meaning.
    #[command(after_help = "Example:\n  pivotctl config keys")]
    Keys,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.what {
        What::Check { json } => return check(&args.config, json),
        What::Show { json, resolved } => show(&args.config, json, resolved)?,
        What::Schema => outln!("{:#}", json_schema()),
        What::Keys => {
            for key in keys() {
                let env = key.env().unwrap_or_default();
                outln!("{}\n    {} {env}\n    {}", key.path, key.kind, key.description);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn check(path: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = Config::load(path);
    if json {
        outln!("{:#}", verdict(path, &loaded));
        return Ok(ExitCode::from(u8::from(loaded.is_err())));
    }
    let config = loaded?;
    outln!(
        "{} is valid: {} trades {} in {} mode",
        path.display(),
        config.trading.strategy,
        config.trading.instrument,
        config.trading.mode
    );
    for warning in warnings(path, &config) {
        errln!("warning: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}

fn verdict(path: &Path, loaded: &Result<Config, ConfigError>) -> Value {
    match loaded {
        Ok(config) => {
            json!({"valid": true, "problems": [], "warnings": warnings(path, config)})
        }
        Err(error) => {
            let problems = error
                .problems()
                .iter()
                .map(|problem| json!({"path": problem.path, "message": problem.message}));
            let mut problems: Vec<Value> = problems.collect();
            if problems.is_empty() {
                let text = format!("{:#}", anyhow::anyhow!(error.to_string()));
                problems.push(json!({"path": Value::Null, "message": text}));
            }
            json!({"valid": false, "problems": problems, "warnings": []})
        }
    }
}

/// What is allowed outside live trading, but not wise, and what has no effect.
fn warnings(path: &Path, config: &Config) -> Vec<String> {
    let mut told: Vec<String> = config.logging.not_built().into_iter().map(Into::into).collect();
    let mode = std::fs::metadata(path).map(|file| file.permissions().mode() & 0o777);
    if let Ok(mode) = mode
        && mode & 0o077 != 0
    {
        let path = path.display();
        told.push(format!("{path} can be read by others (mode {mode:03o}): chmod 600 {path}"));
    }
    told
}

fn show(path: &Path, json: bool, resolved: bool) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    if resolved {
        outln!("{:#?}", config.settings()?);
        return Ok(());
    }
    let value = serde_json::to_value(&config).context("cannot show the configuration")?;
    if json {
        outln!("{value:#}");
        return Ok(());
    }
    let mut text = Vec::new();
    lines("", &value, &mut text);
    outln!("{}", text.join("\n"));
    Ok(())
}

/// `path = value`, one key on each line.
fn lines(path: &str, value: &Value, text: &mut Vec<String>) {
    match value.as_object() {
        Some(object) if !object.is_empty() => {
            for (name, value) in object {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                lines(&path, value, text);
            }
        }
        Some(_) | None => text.push(format!("{path} = {value}")),
    }
}
