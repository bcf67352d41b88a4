//! Messages in Telegram's HTML: escaped, headed by the mode, cut to size.

use teloxide::types::InlineKeyboardMarkup;

use super::api::Letter;
use crate::engine::Mode;

/// Longest message. Telegram counts what is left when markup is taken out;
/// counting everything is on the safe side.
pub(super) const MESSAGE_MAX: usize = 4096;

/// Longest single line; longer ones are cut.
const LINE_MAX: usize = 3000;

/// Text that cannot be taken for markup.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The line that stands above every message.
pub(super) fn header(mode: Mode) -> String {
    let sign = match mode {
        Mode::Demo => "🔵",
        Mode::Paper => "🟡",
        Mode::Live => "🔴",
    };
    format!("{sign} <b>{}</b> · pivot-trading", mode.as_str().to_uppercase())
}

/// A message under construction, line by line.
#[derive(Debug, Clone)]
pub(super) struct Page {
    header: String,
    lines: Vec<String>,
    keyboard: Option<InlineKeyboardMarkup>,
}

impl Page {
    pub(super) fn new(mode: Mode) -> Page {
        Page { header: header(mode), lines: Vec::new(), keyboard: None }
    }

    /// A heading.
    pub(super) fn title(mut self, text: impl AsRef<str>) -> Page {
        self.lines.push(format!("<b>{}</b>", escape(&cut(text.as_ref()))));
        self
    }

    /// A line of text.
    pub(super) fn line(mut self, text: impl AsRef<str>) -> Page {
        self.lines.extend(text.as_ref().lines().map(|line| escape(&cut(line))));
        self
    }

    /// A name and what it is.
    pub(super) fn field(mut self, name: &str, value: impl AsRef<str>) -> Page {
        let value = escape(&cut(value.as_ref()));
        self.lines.push(format!("{}: <b>{value}</b>", escape(name)));
        self
    }

    /// Lines in which columns stand below each other.
    pub(super) fn table(mut self, lines: impl IntoIterator<Item = String>) -> Page {
        let lines = lines.into_iter().map(|line| format!("<code>{}</code>", escape(&cut(&line))));
        self.lines.extend(lines);
        self
    }

    /// An empty line.
    pub(super) fn gap(mut self) -> Page {
        self.lines.push(String::new());
        self
    }

    pub(super) fn keyboard(mut self, keyboard: InlineKeyboardMarkup) -> Page {
        self.keyboard = Some(keyboard);
        self
    }

    /// The messages that it makes; buttons stand below the last one.
    pub(super) fn letters(self, silent: bool) -> Vec<Letter> {
        let mut texts = vec![self.header.clone()];
        for line in self.lines {
            let full = texts.last().is_none_or(|text| length(text) + length(&line) >= MESSAGE_MAX);
            if full {
                texts.push(self.header.clone());
            }
            if let Some(text) = texts.last_mut() {
                text.push('\n');
                text.push_str(&line);
            }
        }
        let mut letters: Vec<Letter> =
            texts.into_iter().map(|html| Letter { html, keyboard: None, silent }).collect();
        if let Some(last) = letters.last_mut() {
            last.keyboard = self.keyboard;
        }
        letters
    }
}

fn length(text: &str) -> usize {
    text.encode_utf16().count() + 1
}

fn cut(text: &str) -> String {
    if text.len() <= LINE_MAX {
        return text.to_string();
    }
    let mut cut: String = text.chars().take(LINE_MAX / 4).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_line_ends_and_names_the_mode_each_time() {
        let mut page = Page::new(Mode::Paper).title("Trades <all> & more");
        for number in 0..400 {
            page = page.line(format!("{number:03} & a line of some length"));
        }
        let letters = page.letters(false);
        assert!(letters.len() > 1);
        let mut seen = 0;
        for letter in &letters {
            assert!(letter.html.encode_utf16().count() <= MESSAGE_MAX);
            assert!(letter.html.starts_with("🟡 <b>PAPER</b>"));
            seen += letter.html.matches("&amp; a line of some length").count();
        }
        assert_eq!(seen, 400);
        assert!(letters[0].html.contains("Trades &lt;all&gt; &amp; more"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_makes_sound_letters(text in ".{0,9000}") {
            for letter in Page::new(Mode::Demo).title(&text).line(&text).letters(false) {
                proptest::prop_assert!(letter.html.encode_utf16().count() <= MESSAGE_MAX);
                let open = letter.html.matches("<b>").count();
                proptest::prop_assert_eq!(open, letter.html.matches("</b>").count());
            }
        }
    }
}
