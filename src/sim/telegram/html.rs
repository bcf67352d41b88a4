//! Telegram's HTML: which markup it takes, and the text that remains.

/// Tags that Telegram knows.
const TAGS: [&str; 13] =
    ["b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "code", "pre", "a", "blockquote"];

/// Longest name of an entity such as `&quot;`.
const ENTITY_MAX: usize = 8;

/// The text without markup.
///
/// # Errors
/// What Telegram would complain of.
pub(super) fn plain(html: &str) -> Result<String, String> {
    let mut text = String::with_capacity(html.len());
    let mut open: Vec<String> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('&') {
            let (character, length) = entity(rest);
            text.push(character);
            rest = &rest[length..];
            continue;
        }
        let end = rest.find('>').ok_or_else(|| problem("Unclosed start tag", html, rest))?;
        tag(&rest[1..end], &mut open).map_err(|what| problem(&what, html, rest))?;
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    match open.pop() {
        Some(name) => Err(format!(
            "can't parse entities: Can't find end tag corresponding to start tag \"{name}\""
        )),
        None => Ok(text),
    }
}

fn problem(what: &str, html: &str, rest: &str) -> String {
    format!("can't parse entities: {what} at byte offset {}", html.len() - rest.len())
}

fn tag(inside: &str, open: &mut Vec<String>) -> Result<(), String> {
    if let Some(name) = inside.strip_prefix('/') {
        return match open.pop() {
            Some(last) if last == name.trim() => Ok(()),
            Some(last) => Err(format!("Unmatched end tag, expected \"</{last}>\", found")),
            None => Err("Unexpected end tag".into()),
        };
    }
    let name = inside.split_whitespace().next().unwrap_or_default();
    if !TAGS.contains(&name) {
        return Err(format!("Unsupported start tag \"{name}\""));
    }
    open.push(name.to_string());
    Ok(())
}

/// The character that an entity stands for, and its length; a lone `&`
/// stands for itself.
fn entity(text: &str) -> (char, usize) {
    let known = [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&'), ("&quot;", '"'), ("&#39;", '\'')];
    debug_assert!(known.iter().all(|(name, _)| name.len() <= ENTITY_MAX));
    known
        .into_iter()
        .find(|(name, _)| text.starts_with(name))
        .map_or(('&', 1), |(name, character)| (character, name.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_what_telegram_takes_and_refuses_the_rest() {
        assert_eq!(plain("<b>P&amp;L</b> 3 &lt; 4 & ok").unwrap(), "P&L 3 < 4 & ok");
        assert_eq!(plain("<a href=\"http://x\">log in</a>").unwrap(), "log in");
        for wrong in ["<b>x", "x</b>", "<b><i>x</b></i>", "<table>", "a < b"] {
            assert!(plain(wrong).is_err(), "{wrong}");
        }
    }
}
