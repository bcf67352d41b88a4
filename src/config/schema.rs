//! The keys of the file, taken from the types that read it.

use serde_json::Value;

use super::Config;
use super::parameters;

/// One key of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its path, such as `risk_management.max_daily_loss`.
    pub path: String,
    /// `string`, `number`, `integer`, `boolean`, `array` or `object`.
    pub kind: String,
    /// What it means.
    pub description: String,
}

impl Key {
    /// The environment variable that overrules it. Lists and strategy
    /// parameters have none.
    pub fn env(&self) -> Option<String> {
        if self.path.starts_with(parameters::PATH) {
            return None;
        }
        match self.kind.as_str() {
            "array" | "object" => None,
            _ => Some(format!("PIVOT_{}", self.path.replace('.', "_").to_uppercase())),
        }
    }
}

/// The JSON Schema of the file.
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(Config).to_value();
    schema["title"] = "pivot-trading configuration".into();
    let trading = schema.pointer_mut("/$defs/TradingConfig/properties");
    if let Some(trading) = trading {
        trading["parameters"] = parameters::schema();
    }
    schema
}

/// Every key that can be set, in the order of their names, with the
/// parameters of every strategy.
pub fn keys() -> Vec<Key> {
    let schema = json_schema();
    let mut keys = Vec::new();
    collect(&schema, &schema, "", &mut keys);
    keys.sort_by(|one, other| one.path.cmp(&other.path));
    keys
}

fn collect(root: &Value, node: &Value, path: &str, keys: &mut Vec<Key>) {
    for (name, property) in properties(root, node) {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let target = resolved(root, property);
        if target.get("properties").is_some() {
            collect(root, target, &path, keys);
            continue;
        }
        let description = property.get("description").or_else(|| target.get("description"));
        let description = description.and_then(Value::as_str).unwrap_or_default();
        let description = description.split_whitespace().collect::<Vec<_>>().join(" ");
        keys.push(Key { path, kind: kind(target), description });
    }
}

pub(super) fn properties<'a>(
    root: &'a Value,
    node: &'a Value,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    resolved(root, node).get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn resolved<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    let target = node.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(node)
}

/// The first type that is not null. Words of an enum are strings.
fn kind(node: &Value) -> String {
    let first = match node.get("type") {
        Some(Value::Array(types)) => {
            types.iter().find_map(|kind| kind.as_str().filter(|kind| *kind != "null"))
        }
        Some(one) => one.as_str(),
        None => None,
    };
    first.unwrap_or("string").to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_have_words_and_their_own_variable() {
        let keys = keys();
        let paths: BTreeSet<_> = keys.iter().map(|key| key.path.as_str()).collect();
        for path in [
            "api_secret",
            "risk_management.max_daily_loss",
            "orders.max_spread",
            "trading.parameters.neutral_band_points",
            "notifications",
        ] {
            assert!(paths.contains(path), "{path} is not in {paths:?}");
        }
        let variables: Vec<_> = keys.iter().filter_map(Key::env).collect();
        let distinct: BTreeSet<_> = variables.iter().collect();
        assert_eq!(variables.len(), distinct.len());
        assert!(variables.contains(&"PIVOT_RISK_MANAGEMENT_MAX_DAILY_LOSS".to_string()));
        for key in keys {
            assert!(!key.description.is_empty(), "{}", key.path);
        }
    }
}
