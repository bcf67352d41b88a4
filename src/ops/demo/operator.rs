//! The person of the demo: logs in through a browser's steps, types into the
//! chat.

use anyhow::Context as _;
use serde_json::json;

use super::stage::{CHAT, Stage};

/// Follows the login link as a browser would: the web service, the broker's
/// form, the way back.
pub(super) async fn log_in(stage: &Stage) -> anyhow::Result<()> {
    let link = format!("{}/login", stage.urls.auth);
    let form = next_stop(stage.http.get(&link).send().await?).context("the login link")?;
    let page = stage.http.get(&form).send().await?.error_for_status()?;
    anyhow::ensure!(page.text().await?.contains("<form"), "the broker shows no login form");
    let fields = [("user_id", "SIM001"), ("password", "demo"), ("totp", "123456")];
    let answer = stage.http.post(&form).form(&fields).send().await?;
    let back = next_stop(answer).context("the broker's login")?;
    stage
        .http
        .get(&back)
        .send()
        .await?
        .error_for_status()
        .context("the web service did not take the login")?;
    Ok(())
}

fn next_stop(answer: reqwest::Response) -> anyhow::Result<String> {
    let status = answer.status();
    let location = answer.headers().get(reqwest::header::LOCATION);
    let location = location.and_then(|value| value.to_str().ok());
    Ok(location.with_context(|| format!("no redirect, HTTP {status}"))?.to_string())
}

/// Types a text into the chat.
pub(super) async fn type_text(stage: &Stage, text: &str) -> anyhow::Result<()> {
    let url = format!("{}/_sim/telegram/send", stage.urls.telegram);
    let body = json!({ "chat_id": CHAT, "user_id": CHAT, "text": text });
    stage.http.post(&url).json(&body).send().await?.error_for_status()?;
    Ok(())
}
