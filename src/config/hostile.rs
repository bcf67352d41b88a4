//! Whatever stands in the file, it is taken whole or refused with the place
//! of every mistake; nothing panics.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Config;
use super::schema::keys;

/// Reads a file; what is taken also resolves or says why not.
fn read(text: &str) {
    match Config::parse(text) {
        Ok(config) => {
            if let Err(error) = config.settings() {
                assert!(!error.to_string().is_empty());
            }
        }
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty());
            for problem in error.problems() {
                assert!(!problem.to_string().is_empty());
            }
        }
    }
}

fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!([])),
        Just(json!({ "a": 1 })),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        Just(json!("25:99")),
        Just(json!("1e400 %")),
        ".{0,16}".prop_map(|text| json!(text)),
    ]
}

/// A file in which up to five keys have values that nobody expects.
fn files() -> impl Strategy<Value = String> {
    let paths: Vec<String> = keys().into_iter().map(|key| key.path).collect();
    prop::collection::vec((prop::sample::select(paths), odd()), 0..6).prop_map(|settings| {
        let mut file = json!({});
        for (path, odd) in settings {
            let mut slot = &mut file;
            for name in path.split('.') {
                if !slot.is_object() {
                    *slot = json!({});
                }
                slot = &mut slot[name];
            }
            *slot = odd;
        }
        file.to_string()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn odd_values_are_refused_with_their_place(text in files()) {
        read(&text);
        if let Err(error) = Config::parse(&text) {
            prop_assert!(error.problems().iter().any(|problem| !problem.to_string().is_empty()));
        }
    }

    #[test]
    fn cut_files_are_refused(text in files(), cut: prop::sample::Index) {
        read(&text[..text.floor_char_boundary(cut.index(text.len()))]);
    }
}

#[test]
fn arbitrary_files_are_refused() {
    bolero::check!().for_each(|bytes: &[u8]| read(&String::from_utf8_lossy(bytes)));
}
