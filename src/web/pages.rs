//! Pages for a phone. Everything is escaped; the mode stands on each.

use axum::response::Html;
use maud::{DOCTYPE, Markup, html};

/// A page's frame.
fn page(mode: &str, title: &str, content: &Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) " · pivot-trading" }
                link rel="stylesheet" href="/style.css";
            }
            body {
                main {
                    header {
                        strong { "pivot-trading" }
                        span class={ "mode " (mode) } { (mode.to_uppercase()) }
                    }
                    (content)
                }
            }
        }
    };
    Html(page.into_string())
}

/// The first page: how things stand, and the way to log in.
pub(super) fn home(mode: &str, logged_in: bool, facts: &[(String, String)]) -> Html<String> {
    let content = html! {
        section class="card" {
            @if logged_in {
                h1 class="good" { "Logged in" }
            } @else {
                h1 class="warn" { "Login needed" }
                p class="soft" { "The broker's session ends every morning around 06:00." }
            }
            a class="button" href="/login" {
                @if logged_in { "Log in again" } @else { "Log in with Kite" }
            }
        }
        section class="card" {
            dl {
                @for (name, value) in facts {
                    dt { (name) }
                    dd { (value) }
                }
            }
        }
    };
    page(mode, "Status", &content)
}

/// The login worked.
pub(super) fn success(mode: &str, at: &str) -> Html<String> {
    let content = html! {
        section class="card" {
            h1 class="good" { "✓ Login received" }
            p { "The trading service takes over from here. You will get a message when the \
                 broker has confirmed the session." }
            p class="soft" { "Received at " (at) " IST, mode " (mode.to_uppercase()) "." }
            p class="soft" { "You can close this page." }
        }
    };
    page(mode, "Login received", &content)
}

/// Someone opened the page that only the broker sends browsers to.
pub(super) fn stray(mode: &str) -> Html<String> {
    let content = html! {
        section class="card" {
            h1 class="warn" { "Nothing to see here" }
            p { "This page is only opened by the broker's redirect, at the end of a login. \
                 What came here is none." }
            a class="button" href="/login" { "Log in with Kite" }
            p class="soft" { "From another machine, ask for a link with /login in Telegram. Mode "
                (mode.to_uppercase()) "." }
        }
    };
    page(mode, "Only for the broker", &content)
}

/// The login did not work, or was given up.
pub(super) fn failure(mode: &str, headline: &str, why: &str) -> Html<String> {
    let content = html! {
        section class="card" {
            h1 class="bad" { (headline) }
            p { (why) }
            p { "Nothing was changed. Ask for a new link with /login in Telegram." }
            p class="soft" { "Mode " (mode.to_uppercase()) "." }
        }
    };
    page(mode, headline, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_escape_and_name_the_mode() {
        let text = failure("live", "Login failed", "<script>x</script>").0;
        assert!(text.contains("LIVE") && text.contains("&lt;script&gt;"));
        assert!(!text.contains("<script>"));
    }
}
