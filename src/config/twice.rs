//! Keys that stand twice in the file: JSON readers keep the last and say
//! nothing, so that a limit could be another than the one that is read.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Problem;

/// Every key that an object of a JSON text has more than once.
pub(super) fn keys(text: &str) -> Vec<Problem> {
    let found = RefCell::default();
    let seed = Look { path: String::new(), found: &found };
    // A text that is not JSON is told of elsewhere.
    let _ = seed.deserialize(&mut serde_json::Deserializer::from_str(text));
    let told = |path| Problem::new(path, "stands more than once; keep one of them");
    found.into_inner().into_iter().map(told).collect()
}

/// Looks into one value at a path.
struct Look<'a> {
    path: String,
    found: &'a RefCell<BTreeSet<String>>,
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let path = match self.path.as_str() {
                "" => name.clone(),
                section => format!("{section}.{name}"),
            };
            if !seen.insert(name) {
                self.found.borrow_mut().insert(path.clone());
            }
            map.next_value_seed(Look { path, found: self.found })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
