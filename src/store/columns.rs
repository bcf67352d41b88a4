//! How values stand in columns.

use chrono::{NaiveDate, SecondsFormat};
use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};

use super::wire::Wire;
use crate::market::Timestamp;

/// An instant: UTC text that sorts, `2026-11-23T04:03:00.000000000Z`.
pub(crate) struct At(pub(crate) Timestamp);

/// An IST date: `2026-11-23`.
pub(crate) struct Day(pub(crate) NaiveDate);

/// A place in the journal.
pub(crate) struct Seq(pub(crate) u64);

/// A value as JSON text.
pub(crate) struct Doc<T>(pub(crate) T);

impl ToSql for At {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_rfc3339_opts(SecondsFormat::Nanos, true).into())
    }
}

impl FromSql for At {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<At> {
        let parsed = chrono::DateTime::parse_from_rfc3339(value.as_str()?);
        parsed.map(|at| At(at.to_utc())).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

impl ToSql for Day {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.format("%Y-%m-%d").to_string().into())
    }
}

impl FromSql for Day {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Day> {
        let parsed = value.as_str()?.parse();
        parsed.map(Day).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

impl ToSql for Seq {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let number = i64::try_from(self.0);
        number
            .map(Into::into)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
    }
}

impl FromSql for Seq {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Seq> {
        let number = value.as_i64()?;
        u64::try_from(number).map(Seq).map_err(|_| FromSqlError::OutOfRange(number))
    }
}

impl<T: Wire> ToSql for Doc<&T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_text().into())
    }
}

impl<T: Wire> FromSql for Doc<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Doc<T>> {
        T::from_text(value.as_str()?).map(Doc).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}
