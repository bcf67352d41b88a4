//! Values of the engine and the market as JSON, without either of them
//! knowing of it.
//!
//! `wire_struct!`, `wire_enum!` and `wire_words!` name a type's fields once
//! and write both directions; a field or variant that is added to the type
//! and not here does not compile. The form is the one that serde derives by
//! default, keys in alphabetical order.

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat};
use serde_json::{Map, Value};

/// A value that can be written as JSON and read back.
pub trait Wire: Sized {
    /// The value as JSON.
    fn write(&self) -> Value;

    /// Reads the value back.
    ///
    /// # Errors
    /// Says where in the JSON something else was expected.
    fn read(value: &Value) -> Result<Self, Malformed>;

    /// What a missing field means: nothing, for most types an error.
    fn absent() -> Option<Self> {
        None
    }

    /// Any value, for tests.
    #[cfg(test)]
    fn sample(draw: &mut sample::Draw) -> Self;

    /// The value as JSON text.
    fn to_text(&self) -> String {
        self.write().to_string()
    }

    /// Reads the value from JSON text.
    ///
    /// # Errors
    /// When the text is not JSON, or not of this form.
    fn from_text(text: &str) -> Result<Self, Malformed> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Malformed::new(&format!("JSON ({error})")))?;
        Self::read(&value)
    }
}

/// JSON that is not of the form expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} at {path:?}")]
pub struct Malformed {
    path: String,
    expected: String,
}

impl Malformed {
    /// Something else was expected here.
    pub fn new(expected: &str) -> Malformed {
        Malformed { path: String::new(), expected: expected.to_owned() }
    }

    /// The same, seen from one level further out.
    pub fn within(mut self, step: &str) -> Malformed {
        self.path = match self.path.is_empty() {
            true => step.to_owned(),
            false => format!("{step}.{}", self.path),
        };
        self
    }
}

/// Reads a field of an object.
///
/// # Errors
/// When it is missing or malformed.
pub fn field<T: Wire>(object: &Map<String, Value>, name: &str) -> Result<T, Malformed> {
    match object.get(name) {
        Some(value) => T::read(value).map_err(|error| error.within(name)),
        None => T::absent().ok_or_else(|| Malformed::new("a value").within(name)),
    }
}

/// Reads an object.
///
/// # Errors
/// When the value is something else.
pub fn object(value: &Value) -> Result<&Map<String, Value>, Malformed> {
    value.as_object().ok_or_else(|| Malformed::new("an object"))
}

/// Writes and reads a struct by its fields: `wire_struct!(Candle { start, … })`.
macro_rules! wire_struct {
    ($type:ty { $($field:ident),* $(,)? }) => {
        impl $crate::store::wire::Wire for $type {
            fn write(&self) -> serde_json::Value {
                let Self { $($field),* } = self;
                let mut object = serde_json::Map::new();
                $(object.insert(
                    stringify!($field).to_owned(),
                    $crate::store::wire::Wire::write($field),
                );)*
                serde_json::Value::Object(object)
            }
            fn read(value: &serde_json::Value) -> Result<Self, $crate::store::wire::Malformed> {
                let object = $crate::store::wire::object(value)?;
                Ok(Self { $($field: $crate::store::wire::field(object, stringify!($field))?),* })
            }
            #[cfg(test)]
            fn sample(draw: &mut $crate::store::wire::sample::Draw) -> Self {
                Self { $($field: $crate::store::wire::Wire::sample(draw)),* }
            }
        }
    };
}

/// Writes and reads an enum by its variants:
/// `wire_enum!(Outcome { Accepted { order_id }, Day(plan), Deadline })`.
macro_rules! wire_enum {
    ($type:ty { $($variant:ident $(($inner:ident))? $({ $($field:ident),* $(,)? })?),* $(,)? }) => {
        impl $crate::store::wire::Wire for $type {
            fn write(&self) -> serde_json::Value {
                match self {
                    $(Self::$variant $(($inner))? $({ $($field),* })? => {
                        $crate::store::wire::wire_enum!(@write $variant $(($inner))? $({ $($field),* })?)
                    })*
                }
            }
            fn read(value: &serde_json::Value) -> Result<Self, $crate::store::wire::Malformed> {
                let (name, body) = $crate::store::wire::variant(value)?;
                let _ = body;
                $(if name == stringify!($variant) {
                    return $crate::store::wire::wire_enum!(@read $type, body, $variant $(($inner))? $({ $($field),* })?);
                })*
                Err($crate::store::wire::Malformed::new(concat!("a variant of ", stringify!($type)))
                    .within(name))
            }
            #[cfg(test)]
            fn sample(draw: &mut $crate::store::wire::sample::Draw) -> Self {
                let mut choices: Vec<fn(&mut $crate::store::wire::sample::Draw) -> Self> = Vec::new();
                $(choices.push(|draw| {
                    let _ = &draw;
                    $crate::store::wire::wire_enum!(@sample $type, draw, $variant $(($inner))? $({ $($field),* })?)
                });)*
                let choice = draw.below(choices.len());
                choices[choice](draw)
            }
        }
        impl $crate::store::wire::Variants for $type {
            const NAMES: &'static [&'static str] = &[$(stringify!($variant)),*];
        }
    };
    (@write $variant:ident) => {
        serde_json::Value::from(stringify!($variant))
    };
    (@write $variant:ident ($inner:ident)) => {
        $crate::store::wire::tagged(
            stringify!($variant),
            $crate::store::wire::Wire::write($inner),
        )
    };
    (@write $variant:ident { $($field:ident),* }) => {{
        let mut object = serde_json::Map::new();
        $(object.insert(
            stringify!($field).to_owned(),
            $crate::store::wire::Wire::write($field),
        );)*
        $crate::store::wire::tagged(stringify!($variant), serde_json::Value::Object(object))
    }};
    (@read $type:ty, $body:ident, $variant:ident) => {
        Ok(Self::$variant)
    };
    (@read $type:ty, $body:ident, $variant:ident ($inner:ident)) => {
        $crate::store::wire::Wire::read($body)
            .map(Self::$variant)
            .map_err(|error| error.within(stringify!($variant)))
    };
    (@read $type:ty, $body:ident, $variant:ident { $($field:ident),* }) => {{
        let read = || -> Result<Self, $crate::store::wire::Malformed> {
            let object = $crate::store::wire::object($body)?;
            Ok(Self::$variant { $($field: $crate::store::wire::field(object, stringify!($field))?),* })
        };
        read().map_err(|error| error.within(stringify!($variant)))
    }};
    (@sample $type:ty, $draw:ident, $variant:ident) => { Self::$variant };
    (@sample $type:ty, $draw:ident, $variant:ident ($inner:ident)) => {
        Self::$variant($crate::store::wire::Wire::sample($draw))
    };
    (@sample $type:ty, $draw:ident, $variant:ident { $($field:ident),* }) => {
        Self::$variant { $($field: $crate::store::wire::Wire::sample($draw)),* }
    };
}

/// Writes and reads a type by its own words. The second form is for types
/// whose reader keeps words that it does not know.
macro_rules! wire_words {
    ($type:ty, $name:literal, $samples:expr) => {
        impl $crate::store::wire::Wire for $type {
            fn write(&self) -> serde_json::Value {
                serde_json::Value::from(self.as_str())
            }
            fn read(value: &serde_json::Value) -> Result<$type, $crate::store::wire::Malformed> {
                <$type>::parse($crate::store::wire::text(value)?)
                    .ok_or_else(|| $crate::store::wire::Malformed::new($name))
            }
            #[cfg(test)]
            fn sample(draw: &mut $crate::store::wire::sample::Draw) -> $type {
                let all = $samples;
                all[draw.below(all.len())].clone()
            }
        }
    };
    ($type:ty, open, $samples:expr) => {
        impl $crate::store::wire::Wire for $type {
            fn write(&self) -> serde_json::Value {
                serde_json::Value::from(self.as_str())
            }
            fn read(value: &serde_json::Value) -> Result<$type, $crate::store::wire::Malformed> {
                Ok(<$type>::parse($crate::store::wire::text(value)?))
            }
            #[cfg(test)]
            fn sample(draw: &mut $crate::store::wire::sample::Draw) -> $type {
                let all = $samples;
                all[draw.below(all.len())].clone()
            }
        }
    };
}

pub(crate) use {wire_enum, wire_struct, wire_words};

/// Names of an enum's variants, as written.
pub trait Variants {
    /// In the order of the enum.
    const NAMES: &'static [&'static str];
}

/// `{"name": body}`.
pub fn tagged(name: &str, body: Value) -> Value {
    let mut object = Map::new();
    object.insert(name.to_owned(), body);
    Value::Object(object)
}

/// The name and body of an enum value.
///
/// # Errors
/// When the value is neither a string nor an object with one key.
pub fn variant(value: &Value) -> Result<(&str, &Value), Malformed> {
    if let Value::String(name) = value {
        return Ok((name, &Value::Null));
    }
    let mut entries = object(value)?.iter();
    match (entries.next(), entries.next()) {
        (Some((name, body)), None) => Ok((name, body)),
        (None | Some(_), _) => Err(Malformed::new("an object with one key")),
    }
}

macro_rules! wire_integer {
    ($($type:ty),*) => {$(
        impl Wire for $type {
            fn write(&self) -> Value {
                Value::from(*self)
            }
            fn read(value: &Value) -> Result<$type, Malformed> {
                let wrong = || Malformed::new(stringify!($type));
                let wide = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
                <$type>::try_from(wide.ok_or_else(wrong)?).map_err(|_| wrong())
            }
            #[cfg(test)]
            fn sample(draw: &mut sample::Draw) -> $type {
                draw.integer() as $type
            }
        }
    )*};
}

wire_integer!(i64, u64, u32, usize);

impl Wire for bool {
    fn write(&self) -> Value {
        Value::from(*self)
    }
    fn read(value: &Value) -> Result<bool, Malformed> {
        value.as_bool().ok_or_else(|| Malformed::new("true or false"))
    }
    /// What an older record does not know of was not switched on.
    fn absent() -> Option<bool> {
        Some(false)
    }
    #[cfg(test)]
    fn sample(draw: &mut sample::Draw) -> bool {
        draw.below(2) == 1
    }
}

impl Wire for String {
    fn write(&self) -> Value {
        Value::from(self.as_str())
    }
    fn read(value: &Value) -> Result<String, Malformed> {
        text(value).map(str::to_owned)
    }
    #[cfg(test)]
    fn sample(draw: &mut sample::Draw) -> String {
        draw.text()
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::write)
    }
    fn read(value: &Value) -> Result<Option<T>, Malformed> {
        match value {
            Value::Null => Ok(None),
            Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => T::read(value).map(Some),
        }
    }
    fn absent() -> Option<Option<T>> {
        Some(None)
    }
    #[cfg(test)]
    fn sample(draw: &mut sample::Draw) -> Option<T> {
        (draw.below(3) > 0).then(|| T::sample(draw))
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn write(&self) -> Value {
        Value::Array(self.iter().map(T::write).collect())
    }
    fn read(value: &Value) -> Result<Vec<T>, Malformed> {
        let items = value.as_array().ok_or_else(|| Malformed::new("a list"))?;
        let read = |(place, item)| T::read(item).map_err(|error| error.within(&format!("{place}")));
        items.iter().enumerate().map(read).collect()
    }
    fn absent() -> Option<Vec<T>> {
        Some(Vec::new())
    }
    #[cfg(test)]
    fn sample(draw: &mut sample::Draw) -> Vec<T> {
        (0..draw.below(3)).map(|_| T::sample(draw)).collect()
    }
}

impl<T: Wire> Wire for Box<T> {
    fn write(&self) -> Value {
        T::write(self)
    }
    fn read(value: &Value) -> Result<Box<T>, Malformed> {
        T::read(value).map(Box::new)
    }
    #[cfg(test)]
    fn sample(draw: &mut sample::Draw) -> Box<T> {
        Box::new(T::sample(draw))
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn write(&self) -> Value {
        Value::Array(vec![self.0.write(), self.1.write()])
    }
    fn read(value: &Value) -> Result<(A, B), Malformed> {
        match value.as_array().map(Vec::as_slice) {
            Some([first, second]) => Ok((
                A::read(first).map_err(|error| error.within("0"))?,
                B::read(second).map_err(|error| error.within("1"))?,
            )),
            Some(_) | None => Err(Malformed::new("a pair")),
        }
    }
    #[cfg(test)]
    fn sample(draw: &mut sample::Draw) -> (A, B) {
        (A::sample(draw), B::sample(draw))
    }
}

impl Wire for DateTime<chrono::Utc> {
    fn write(&self) -> Value {
        Value::from(self.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
    fn read(value: &Value) -> Result<DateTime<chrono::Utc>, Malformed> {
        let parsed = DateTime::parse_from_rfc3339(text(value)?);
        parsed.map(|at| at.to_utc()).map_err(|_| Malformed::new("an RFC 3339 instant"))
    }
    #[cfg(test)]
    fn sample(draw: &mut sample::Draw) -> DateTime<chrono::Utc> {
        let base = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        base + chrono::TimeDelta::nanoseconds(draw.below(1 << 50) as i64)
    }
}

impl Wire for NaiveDate {
    fn write(&self) -> Value {
        Value::from(self.format("%Y-%m-%d").to_string())
    }
    fn read(value: &Value) -> Result<NaiveDate, Malformed> {
        text(value)?.parse().map_err(|_| Malformed::new("a date, YYYY-MM-DD"))
    }
    #[cfg(test)]
    fn sample(draw: &mut sample::Draw) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 1, 1).unwrap() + chrono::Days::new(draw.below(900) as u64)
    }
}

impl Wire for NaiveTime {
    fn write(&self) -> Value {
        Value::from(self.format("%H:%M:%S%.f").to_string())
    }
    fn read(value: &Value) -> Result<NaiveTime, Malformed> {
        text(value)?.parse().map_err(|_| Malformed::new("a time of day, HH:MM:SS"))
    }
    #[cfg(test)]
    fn sample(draw: &mut sample::Draw) -> NaiveTime {
        NaiveTime::from_num_seconds_from_midnight_opt(draw.below(86_400) as u32, 0).unwrap()
    }
}

/// Reads a string.
///
/// # Errors
/// When the value is something else.
pub fn text(value: &Value) -> Result<&str, Malformed> {
    value.as_str().ok_or_else(|| Malformed::new("a string"))
}

/// Values for tests, drawn from a seed.
#[cfg(test)]
pub mod sample {
    use rand::{RngExt, SeedableRng};

    /// Where samples come from.
    #[derive(Debug)]
    pub struct Draw(rand_chacha::ChaCha8Rng);

    impl Draw {
        /// The same seed draws the same values.
        pub fn new(seed: u64) -> Draw {
            Draw(rand_chacha::ChaCha8Rng::seed_from_u64(seed))
        }

        /// A number below `limit`.
        pub fn below(&mut self, limit: usize) -> usize {
            self.0.random_range(0..limit.max(1))
        }

        /// A number that fits every integer type, small or near the edge of
        /// 31 bits.
        pub fn integer(&mut self) -> i64 {
            match self.below(3) {
                0 => self.below(10) as i64,
                1 => self.below(1_000_000) as i64,
                _ => i64::from(i32::MAX) - self.below(3) as i64,
            }
        }

        /// A text; now and then one that JSON and SQL treat in their own ways.
        pub fn text(&mut self) -> String {
            const TEXTS: [&str; 9] = [
                "R1",
                "CPR_WIDE",
                "SCENARIO_1",
                "20261123_001",
                "OPERATOR",
                "O'Neil's \"order\"",
                "₹ 1,23,456.70",
                "two\nlines \\ slash",
                "",
            ];
            TEXTS[self.below(TEXTS.len())].to_owned()
        }
    }
}
