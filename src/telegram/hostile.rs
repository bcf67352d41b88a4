//! Whatever people or strangers type or press, it is understood or refused
//! with words; nothing panics.

use proptest::prelude::*;

use super::buttons::{Buttons, Press};
use super::command;

const WORDS: [&str; 14] = [
    "/panic",
    "/enable",
    "/disable",
    "/set",
    "/exit",
    "/arm",
    "/trades",
    "/why",
    "/status",
    "/restart",
    "daily-loss",
    "lots",
    "-1",
    "2026-02-30",
];

/// Words that commands are made of, and others.
fn typed() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        prop::sample::select(&WORDS[..]).prop_map(str::to_string),
        any::<i64>().prop_map(|number| number.to_string()),
        "\\PC{0,12}",
    ];
    prop::collection::vec(word, 0..6).prop_map(|words| words.join(" "))
}

/// Understands a message or refuses it.
fn hear(text: &str) {
    let _ = command::parse(text);
    let _ = command::parse(&format!("/{text}"));
    let _ = command::nearest(text);
}

fn press(data: &str, chat: i64) {
    let buttons = Buttons::default();
    buttons.below_status(true, true, 1);
    let press = buttons.press(data, chat);
    assert!(!matches!(press, Press::Change(_)), "{press:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_typed_is_understood_or_refused(text in typed()) {
        hear(&text);
    }

    #[test]
    fn made_up_buttons_change_nothing(
        data in prop_oneof!["(re|go|do|no):.{0,20}", "do:[0-9a-f]{16}"],
        chat: i64,
    ) {
        press(&data, chat);
    }
}

#[test]
fn arbitrary_texts_and_buttons_change_nothing() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        hear(&text);
        press(&text, 1);
    });
}
