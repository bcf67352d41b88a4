//! The broker's login page: a form, and a redirect to the app with a
//! one-time request token.

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use maud::{DOCTYPE, PreEscaped, html};

use super::call::Call;
use super::params::Params;
use super::session::Sessions;
use crate::market::Timestamp;
use crate::sim::exchange::ApiError;
use crate::sim::form::encode;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;background:#f6f6f6;color:#333;margin:0}\
main{max-width:22rem;margin:10vh auto;background:#fff;border:1px solid #ddd;border-radius:4px;padding:2rem}\
h1{font-size:1.25rem;font-weight:500;margin:0 0 .25rem}p{margin:.5rem 0;color:#666;font-size:.9rem}\
label{display:block;margin:1rem 0 .25rem;font-size:.85rem}\
input{width:100%;box-sizing:border-box;padding:.6rem;font:inherit;border:1px solid #bbb;border-radius:3px}\
button{width:100%;margin-top:1.25rem;padding:.7rem;font:inherit;border:0;border-radius:3px;background:#c8401e;color:#fff}\
button.plain{background:none;color:#555;margin-top:.5rem}.wrong{color:#b00020}";

/// `GET /connect/login`: the form.
pub(super) fn page(sessions: &Sessions, params: &Params) -> Result<Response, ApiError> {
    check_app(sessions, params)?;
    Ok(form(params, None))
}

/// `POST /connect/login`: the redirect back to the app.
pub(super) fn submit(
    sessions: &mut Sessions,
    now: Timestamp,
    redirect_url: &str,
    call: &Call,
) -> Result<Response, ApiError> {
    let params = &call.params;
    check_app(sessions, params)?;
    if params.get("cancel").is_some() {
        // The real page forgets redirect_params on this way out.
        return Ok(redirect(redirect_url, "status=cancelled"));
    }
    for field in ["user_id", "password", "totp"] {
        if params.get(field).is_none() {
            return Ok(form(params, Some("User id, password and code are all needed.")));
        }
    }
    let request_token = sessions.grant_request_token(now);
    let mut query = format!("action=login&type=login&status=success&request_token={request_token}");
    for (name, value) in Params::parse(params.get("redirect_params").unwrap_or_default()).pairs() {
        query.push_str(&format!("&{}={}", encode(name), encode(value)));
    }
    Ok(redirect(redirect_url, &query))
}

/// Refuses a stranger. There is only one app here, so that no key means it.
fn check_app(sessions: &Sessions, params: &Params) -> Result<(), ApiError> {
    match params.get("api_key") {
        Some(api_key) if !sessions.is_app(api_key) => Err(ApiError::input("Invalid `api_key`.")),
        Some(_) | None => Ok(()),
    }
}

fn redirect(base: &str, query: &str) -> Response {
    let joint = if base.contains('?') { '&' } else { '?' };
    let location = format!("{base}{joint}{query}");
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

fn form(params: &Params, wrong: Option<&str>) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Log in to the simulated Kite" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { "Log in to the simulated Kite" }
                    p { "Not Zerodha. No real account, no real money: any user id, password and code will do." }
                    @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
                    form method="post" action="/connect/login" {
                        @for name in ["v", "api_key", "redirect_params"] {
                            @if let Some(value) = params.get(name) {
                                input type="hidden" name=(name) value=(value);
                            }
                        }
                        label for="user_id" { "User id" }
                        input id="user_id" name="user_id" autocomplete="username" autofocus;
                        label for="password" { "Password" }
                        input id="password" name="password" type="password" autocomplete="current-password";
                        label for="totp" { "Six-digit code" }
                        input id="totp" name="totp" inputmode="numeric" autocomplete="one-time-code";
                        button type="submit" { "Log in" }
                        button.plain type="submit" name="cancel" value="1" formnovalidate { "Cancel" }
                    }
                }
            }
        }
    };
    Html(page.into_string()).into_response()
}
