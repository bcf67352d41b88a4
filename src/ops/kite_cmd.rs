//! `pivotctl kite`: one call of the broker, and what was understood of the
//! answer.

mod args;
mod json;

use std::io::{IsTerminal, Read, Write};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::WrongUsage;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::Mode;
use crate::engine::event::Outcome;
use crate::kite::ticker::frame;
use crate::kite::{Client, ClientOptions, Lane, SessionInfo};
use crate::market::{OrderChange, OrderId, OrderRequest, OrderType, Product};
use crate::store::{Role, Store};
pub(super) use args::Args;
use args::{Call, ChangeArgs, PlaceArgs};

/// Largest message that `decode-frame` reads.
const FRAME_MAX: u64 = 16 << 20;

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Call::DecodeFrame { file, bare } = &args.call {
        return decode_frame(file, *bare);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(call(args))
}

async fn call(args: Args) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(&args)?;
    let client = &desk.client;
    let answer = match args.call {
        Call::Login { request_token, show_token } => {
            let secret = desk.api_secret()?;
            let info = client.exchange_token(&request_token.into(), &secret).await?;
            session(&info, show_token)
        }
        Call::Logout => {
            client.logout().await?;
            json!(true)
        }
        Call::Profile => json::profile(&client.profile().await?),
        Call::Margins => json::margins(&client.margins().await?),
        Call::Orders => json::decoded(&client.orders_in_full().await?, json::order),
        Call::OrderHistory { order_id } => {
            json::decoded(&client.order_history(&OrderId(order_id)).await?, json::order)
        }
        Call::Trades { order_id: None } => json::decoded(&client.trades().await?, json::trade),
        Call::Trades { order_id: Some(order_id) } => {
            json::decoded(&client.order_trades(&OrderId(order_id)).await?, json::trade)
        }
        Call::Positions => json::positions(&client.positions_in_full().await?),
        Call::Holdings => json::decoded(&client.holdings().await?, json::holding),
        Call::Quote { keys } => json::decoded(&client.quote(&keys).await?, json::quote),
        Call::Ohlc { keys } => {
            json::decoded(&client.ohlc(&keys).await?, |(key, row)| json::ohlc(key, row))
        }
        Call::Ltp { keys } => {
            json::decoded(&client.ltp(&keys).await?, |(key, row)| json::ltp(key, row))
        }
        Call::Instruments { exchange } => json::instruments(&client.instruments(exchange).await?),
        Call::Historical { token, interval, from, to, oi } => {
            let candles = client.historical(token, interval, from, to, oi).await?;
            json!({"candles": candles.iter().map(json::candle).collect::<Vec<_>>()})
        }
        Call::OrderMargins(order) => {
            let margins = client.order_margins(&[request(&order)?]).await?;
            json::decoded(&margins, json::order_margin)
        }
        Call::OrderCharges(order) => {
            let charges = client.order_charges(&[request(&order)?]).await?;
            json::decoded(&charges, json::order_charge)
        }
        Call::Place { order, yes } => {
            let what = request(&order)?;
            let words = format!(
                "{} {} {} {} at {}",
                what.side.as_str(),
                what.quantity,
                what.instrument,
                what.order_type.as_str(),
                what.price
            );
            desk.confirm(&words, yes)?;
            let lane = if order.reduces { Lane::Exit } else { Lane::Entry };
            return told(client.submit(&what, lane).await);
        }
        Call::Modify { order_id, change, yes } => {
            desk.confirm(&format!("change order {order_id}"), yes)?;
            let ChangeArgs { order_type, quantity, price, trigger } = change;
            let change = OrderChange { order_type, quantity, price, trigger };
            return told(client.modify(&OrderId(order_id), &change).await);
        }
        Call::Cancel { order_id, yes } => {
            desk.confirm(&format!("cancel order {order_id}"), yes)?;
            return told(client.cancel(&OrderId(order_id)).await);
        }
        Call::DecodeFrame { file, bare } => return decode_frame(&file, bare),
    };
    outln!("{:#}", answer);
    let complete = answer.get("complete").and_then(Value::as_bool).unwrap_or(true);
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The client with all that a call needs.
struct Desk {
    client: Client,
    config: Option<Config>,
    base_url: String,
}

impl Desk {
    fn open(args: &Args) -> anyhow::Result<Desk> {
        let given = args.base_url.is_some() && args.api_key.is_some();
        let config = if args.config.exists() {
            Some(Config::load(&args.config)?)
        } else if given {
            None
        } else {
            let path = args.config.display();
            let message = format!("there is no {path}: give --base-url and --api-key, or --config");
            return Err(WrongUsage(message).into());
        };
        let from = |given: &Option<String>, read: fn(&Config) -> &String| {
            given.clone().or_else(|| config.as_ref().map(|config| read(config).clone()))
        };
        let base_url = from(&args.base_url, |config| &config.kite.base_url).unwrap_or_default();
        let api_key = from(&args.api_key, |config| &config.api_key).unwrap_or_default();
        let timeout_s = config.as_ref().map_or(7, |config| config.kite.timeout_s);
        let client = Client::new(ClientOptions {
            base_url: base_url.clone(),
            api_key,
            timeout: Duration::from_secs(timeout_s),
            clock: Clock::from_env().context("cannot follow the clock")?,
        })?;
        if let Some(token) = access_token(args, config.as_ref())? {
            client.set_session(token);
        }
        Ok(Desk { client, config, base_url })
    }

    fn api_secret(&self) -> anyhow::Result<SecretString> {
        if let Ok(secret) = std::env::var("KITE_API_SECRET") {
            return Ok(secret.into());
        }
        let config = self.config.as_ref().map(|config| config.api_secret.clone());
        Ok(config.ok_or_else(|| WrongUsage("give the API secret in KITE_API_SECRET".into()))?)
    }

    /// True when an order would be a real one.
    fn is_real(&self) -> bool {
        let live =
            self.config.as_ref().is_some_and(|config| config.mode().ok() == Some(Mode::Live));
        live || !is_loopback(&self.base_url)
    }

    /// Asks for a person's yes before a real order.
    fn confirm(&self, words: &str, yes: bool) -> anyhow::Result<()> {
        if yes || !self.is_real() {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            let url = &self.base_url;
            let message = format!("{words}: a real order (it goes to {url}) needs --yes");
            return Err(WrongUsage(message).into());
        }
        err!("REAL ORDER at {}: {words}. Type yes to send it: ", self.base_url);
        std::io::stderr().flush()?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        anyhow::ensure!(line.trim() == "yes", "not sent");
        Ok(())
    }
}

/// True for an address on this machine, where only a simulated broker
/// listens. Any other may stand for the real one: a proxy, another spelling.
fn is_loopback(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// From the environment, else from the session of the data folder.
fn access_token(args: &Args, config: Option<&Config>) -> anyhow::Result<Option<SecretString>> {
    if let Ok(token) = std::env::var(&args.access_token_env) {
        return Ok(Some(token.into()));
    }
    let Some(dir) = config.map(|config| Path::new(&config.data.dir)) else { return Ok(None) };
    if !dir.join(crate::store::FILE_NAME).exists() {
        return Ok(None);
    }
    let store = Store::open_existing(dir, Role::Reader).context("cannot open the data folder")?;
    let now = Clock::from_env().context("cannot follow the clock")?.now();
    let session = store.session(now).context("cannot read the session")?;
    Ok(session.and_then(|session| session.access_token))
}

fn session(info: &SessionInfo, show_token: bool) -> Value {
    use secrecy::ExposeSecret;
    let mut value = json::profile(&info.profile);
    let token = if show_token { info.access_token.expose_secret() } else { "(hidden)" };
    value["access_token"] = token.into();
    value
}

fn request(order: &PlaceArgs) -> Result<OrderRequest, WrongUsage> {
    let needs_price = matches!(order.order_type, OrderType::Limit | OrderType::StopLimit);
    if needs_price && order.price.is_none() {
        return Err(WrongUsage(format!("{} needs --price", order.order_type.as_str())));
    }
    Ok(OrderRequest {
        instrument: order.instrument.clone(),
        side: order.side,
        order_type: order.order_type,
        product: Product::parse(&order.product),
        quantity: order.quantity,
        price: order.price.unwrap_or_default(),
        trigger: order.trigger,
        tag: order.tag.clone(),
    })
}

fn told(outcome: Outcome) -> anyhow::Result<ExitCode> {
    outln!("{:#}", json::outcome(&outcome));
    Ok(match outcome {
        Outcome::Accepted { .. } => ExitCode::SUCCESS,
        Outcome::Refused { .. } | Outcome::Unknown { .. } => ExitCode::from(1),
    })
}

fn decode_frame(file: &Path, bare: bool) -> anyhow::Result<ExitCode> {
    let mut bytes = Vec::new();
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        let opened = std::fs::File::open(file);
        Box::new(opened.with_context(|| format!("cannot open {}", file.display()))?)
    };
    source.take(FRAME_MAX).read_to_end(&mut bytes).context("cannot read the message")?;
    let mut ticks = Vec::new();
    let report = if bare {
        ticks.extend(frame::tick(&bytes));
        frame::FrameReport {
            decoded: ticks.len(),
            skipped: usize::from(ticks.is_empty()),
            ..frame::FrameReport::default()
        }
    } else {
        frame::decode(&bytes, &mut ticks)
    };
    outln!("{:#}", json::frame(&report, &ticks));
    let whole = report.skipped == 0 && !report.truncated;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_no_real_broker() {
        for simulated in [
            "http://127.0.0.1:9001",
            "http://127.8.9.10",
            "http://[::1]:9001/",
            "http://localhost:9001",
            "HTTP://LOCALHOST",
        ] {
            assert!(is_loopback(simulated), "{simulated}");
        }
        for real in [
            "https://api.kite.trade",
            "https://API.KITE.TRADE//",
            "https://api.kite.trade:443/",
            "http://api.kite.trade",
            "https://localhost@api.kite.trade",
            "https://127.0.0.1.example.com",
            "http://10.0.0.7:9001",
            "http://0.0.0.0:9001",
            "not an address",
            "",
        ] {
            assert!(!is_loopback(real), "{real}");
        }
    }
}
