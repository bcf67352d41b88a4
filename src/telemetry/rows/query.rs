//! Pages of rows, newest first.
//!
//! | filter | found by |
//! | --- | --- |
//! | correlation id | its index |
//! | text of three characters or more | the index of texts, which knows kinds too |
//! | level, service, component, event | the index by kind, streams merged |
//! | times, or none | the primary key |
//!
//! What the index does not know of a filter is looked at row by row. A page
//! that has looked at very many ends early, with fewer rows than asked for and
//! a cursor that goes on: so no page takes long, whatever is asked.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _};
use serde_json::{Value, json};
use tracing::Level;

use super::merge::Merge;
use super::schema::{self, Identity};
use super::{Row, RowsError, first_id, level_of, severity, text};
use crate::market::Timestamp;
use crate::market::time::IST;

/// Most rows of a page.
pub const ROWS_MAX: u32 = 1_000;

/// Rows looked at for one page.
const EXAMINED_MAX: u32 = 2_500;

/// Where a page ended; the next one goes on below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(i64);

impl Cursor {
    /// Reads what [`Cursor::to_string`](ToString) wrote.
    pub fn parse(text: &str) -> Option<Cursor> {
        let is_number = |digits: &&str| {
            digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        };
        let number = text.strip_prefix('r').filter(is_number)?;
        let id = i64::from_str_radix(number, 16).ok()?;
        (id >= 0).then_some(Cursor(id))
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "r{:016x}", self.0)
    }
}

/// Which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Table {
    /// What was logged.
    #[default]
    System,
    /// How long things took.
    Performance,
}

/// Which rows are wanted; all when nothing is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Of which table.
    pub table: Table,
    /// Of this level or above.
    pub level: Option<Level>,
    /// Of this service.
    pub service: Option<String>,
    /// Of this component.
    pub component: Option<String>,
    /// With this text in message or data, in small or large letters.
    pub q: Option<String>,
    /// Of this trade.
    pub correlation_id: Option<String>,
    /// Of this kind of event.
    pub event_type: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// At most this many; 0 for 100, never more than [`ROWS_MAX`].
    pub limit: u32,
    /// Older than the page that ended here.
    pub cursor: Option<Cursor>,
}

impl LogQuery {
    fn has_facets(&self) -> bool {
        self.level.is_some()
            || self.service.is_some()
            || self.component.is_some()
            || self.event_type.is_some()
    }

    /// First and last number wanted.
    fn bounds(&self) -> (i64, i64) {
        let low = self.since.map_or(0, first_id);
        let before = |id: i64| id.saturating_sub(1);
        let until = self.until.map_or(i64::MAX, |until| before(first_id(until)));
        let cursor = self.cursor.map_or(i64::MAX, |cursor| before(cursor.0));
        (low, until.min(cursor))
    }

    /// True when the row is wanted, whatever its place. `wanted` is the text
    /// in small letters.
    pub(super) fn fits(&self, row: &Row, wanted: Option<&str>) -> bool {
        let same = |asked: &Option<String>, found: Option<&str>| {
            asked.as_deref().is_none_or(|asked| Some(asked) == found)
        };
        self.level.is_none_or(|level| severity(row.level) >= severity(level))
            && same(&self.service, Some(&row.service))
            && same(&self.component, Some(&row.component))
            && same(&self.event_type, row.event_type.as_deref())
            && same(&self.correlation_id, row.correlation_id.as_deref())
            && self.since.is_none_or(|since| row.at >= since)
            && self.until.is_none_or(|until| row.at < until)
            && wanted.is_none_or(|wanted| {
                row.message.to_lowercase().contains(wanted)
                    || row.data.to_lowercase().contains(wanted)
            })
    }

    fn wanted(&self) -> Option<String> {
        self.q.as_ref().map(|q| q.to_lowercase()).filter(|q| !q.is_empty())
    }

    fn rows_max(&self) -> usize {
        let limit = if self.limit == 0 { 100 } else { self.limit.min(ROWS_MAX) };
        usize::try_from(limit).unwrap_or(usize::MAX)
    }
}

/// A row that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number: grows with its time.
    pub id: i64,
    /// Its place in the order in which rows came into the table.
    pub arrival: i64,
    /// What it says.
    pub row: Row,
}

impl Entry {
    /// As the API and `--json` show it. The instant is in IST, with offset.
    pub fn to_json(&self) -> Value {
        let row = &self.row;
        let at = row.at.with_timezone(&IST);
        let mut shown = json!({
            "id": self.id.to_string(),
            "at": at.to_rfc3339_opts(chrono::SecondsFormat::Micros, false),
            "level": row.level.as_str(),
            "service": row.service,
            "component": row.component,
            "target": row.target,
            "message": row.message,
            "data": serde_json::from_str::<Value>(&row.data)
                .unwrap_or_else(|_| Value::String(row.data.clone())),
            "correlation_id": row.correlation_id,
            "event_type": row.event_type,
        });
        if let Some(duration_us) = row.duration_us {
            shown["duration_us"] = duration_us.into();
        }
        shown
    }
}

/// Rows, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The rows.
    pub entries: Vec<Entry>,
    /// Where to go on; `None` when there is no more.
    pub next: Option<Cursor>,
}

/// Reads a database of logs; it cannot write.
#[derive(Debug)]
pub struct Reader {
    pub(super) connection: Connection,
    path: PathBuf,
    identity: Option<Identity>,
    has_text: bool,
}

impl Reader {
    /// Opens `logs.db` or the archive.
    ///
    /// # Errors
    /// When it is not there, is no such database, or is of a newer program.
    pub fn open(path: &Path) -> Result<Reader, RowsError> {
        let connection = schema::open_reader(path)?;
        let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'system_logs_text')";
        let has_text = connection.query_row(sql, [], |row| row.get(0)).map_err(RowsError::Read)?;
        let identity = Identity::of(path).ok();
        Ok(Reader { connection, path: path.to_owned(), identity, has_text })
    }

    /// The same; `None` while there is no such file, since nothing was logged.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_if_there(path: &Path) -> Result<Option<Reader>, RowsError> {
        match Reader::open(path) {
            Ok(reader) => Ok(Some(reader)),
            Err(RowsError::NotThere { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// False when the file was replaced by another since it was opened.
    pub fn is_current(&self) -> bool {
        Identity::of(&self.path).ok() == self.identity
    }

    /// One page.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn page(&self, query: &LogQuery) -> Result<Page, RowsError> {
        self.find(query).map_err(RowsError::Read)
    }

    fn find(&self, query: &LogQuery) -> rusqlite::Result<Page> {
        let statements = query.table.statements();
        let (low, high) = query.bounds();
        let wanted = query.wanted();
        let kinds = if query.has_facets() { Some(self.kinds(query)?) } else { None };
        if low > high || kinds.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Page::default());
        }
        let mut filling = Filling::new(&self.connection, query, wanted.as_deref());
        let by_text = statements.by_text.filter(|_| self.has_text);
        let search = wanted.as_deref().and_then(|wanted| text::search(wanted, kinds.as_deref()));
        if let Some(correlation_id) = &query.correlation_id {
            let mut statement = self.connection.prepare_cached(&statements.by_correlation)?;
            filling.take(&mut statement.query((low, high, correlation_id))?)?;
        } else if let (Some(by_text), Some(search)) = (by_text, search) {
            let mut statement = self.connection.prepare_cached(by_text)?;
            filling.take(&mut statement.query((low, high, search))?)?;
        } else if let Some(kinds) = kinds {
            let mut merge = Merge::new(&self.connection, &statements.by_kind, &kinds, (low, high))?;
            while let Some(id) = merge.next()? {
                if filling.is_full_with(id)? {
                    break;
                }
            }
        } else {
            let mut statement = self.connection.prepare_cached(&statements.by_time)?;
            filling.take(&mut statement.query((low, high))?)?;
        }
        Ok(filling.page)
    }

    /// One row.
    pub(super) fn entry(&self, table: Table, id: i64) -> rusqlite::Result<Option<Entry>> {
        let mut statement = self.connection.prepare_cached(&table.statements().by_id)?;
        statement.query_row([id], read_entry).optional()
    }

    /// The kinds that fit the filters.
    fn kinds(&self, query: &LogQuery) -> rusqlite::Result<Vec<i64>> {
        let sql = "SELECT kind FROM log_kinds
            WHERE (?1 IS NULL OR severity >= ?1) AND (?2 IS NULL OR service = ?2)
              AND (?3 IS NULL OR component = ?3) AND (?4 IS NULL OR event_type = ?4)";
        let mut statement = self.connection.prepare_cached(sql)?;
        let level = query.level.map(severity);
        let filters = (level, &query.service, &query.component, &query.event_type);
        statement.query_map(filters, |row| row.get(0))?.collect()
    }

    /// Where the table stands, for [`Reader::arrived`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_arrival(&self, table: Table) -> Result<i64, RowsError> {
        let read = || {
            let mut statement = self.connection.prepare_cached(&table.statements().last_arrival)?;
            statement.query_row([], |row| row.get(0))
        };
        read().map_err(RowsError::Read)
    }

    /// Wanted rows that came into the table after `after`, in the order in
    /// which they came, and where to go on. Rows come late (each service
    /// stores in batches, and after a failure), so that following by time
    /// would miss some. A table that is shorter than `after` is a new one and
    /// read from its beginning.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn arrived(&self, query: &LogQuery, after: i64) -> Result<(Vec<Entry>, i64), RowsError> {
        let last = self.last_arrival(query.table)?;
        let mut after = if last < after { 0 } else { after };
        let wanted = query.wanted();
        let mut read = || -> rusqlite::Result<Vec<Entry>> {
            let mut statement =
                self.connection.prepare_cached(&query.table.statements().by_arrival)?;
            let mut rows = statement.query((after, ROWS_MAX))?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                let entry = read_entry(row)?;
                after = entry.arrival;
                if query.fits(&entry.row, wanted.as_deref()) {
                    entries.push(entry);
                }
            }
            Ok(entries)
        };
        let entries = read().map_err(RowsError::Read)?;
        Ok((entries, after))
    }
}

/// A page that is being filled.
struct Filling<'a> {
    connection: &'a Connection,
    query: &'a LogQuery,
    wanted: Option<&'a str>,
    rows_max: usize,
    examined: u32,
    page: Page,
}

impl<'a> Filling<'a> {
    fn new(
        connection: &'a Connection,
        query: &'a LogQuery,
        wanted: Option<&'a str>,
    ) -> Filling<'a> {
        let rows_max = query.rows_max();
        Filling { connection, query, wanted, rows_max, examined: 0, page: Page::default() }
    }

    fn take(&mut self, ids: &mut rusqlite::Rows<'_>) -> rusqlite::Result<()> {
        while let Some(row) = ids.next()? {
            if self.is_full_with(row.get(0)?)? {
                break;
            }
        }
        Ok(())
    }

    /// Takes a row when it fits; true when the page ends here.
    fn is_full_with(&mut self, id: i64) -> rusqlite::Result<bool> {
        let mut statement = self.connection.prepare_cached(&self.query.table.statements().by_id)?;
        // A row that was found and is gone was cleaned up just now.
        let entry = statement.query_row([id], read_entry).optional()?;
        let entry = entry.filter(|entry| self.query.fits(&entry.row, self.wanted));
        let is_there_more = self.page.entries.len() == self.rows_max;
        match entry {
            Some(_) if is_there_more => {
                self.page.next = self.page.entries.last().map(|entry| Cursor(entry.id));
                return Ok(true);
            }
            Some(entry) => self.page.entries.push(entry),
            None => {}
        }
        self.examined += 1;
        if self.examined >= EXAMINED_MAX {
            self.page.next = Some(Cursor(id));
            return Ok(true);
        }
        Ok(false)
    }
}

fn read_entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    let bad = |place: usize, why: &'static str| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(place, kind, why.into())
    };
    let text = |place: usize| row.get::<_, String>(place);
    let at = chrono::DateTime::parse_from_rfc3339(&text(2)?)
        .map_err(|_| bad(2, "expected an instant"))?;
    Ok(Entry {
        id: row.get(0)?,
        arrival: row.get(1)?,
        row: Row {
            at: at.to_utc(),
            service: text(3)?.into(),
            component: text(4)?.into(),
            level: level_of(&text(5)?).ok_or_else(|| bad(5, "expected a level"))?,
            target: text(6)?.into(),
            message: text(7)?,
            data: text(8)?,
            correlation_id: row.get(9)?,
            event_type: row.get(10)?,
            duration_us: row.get::<_, Option<i64>>(11)?.and_then(|us| u64::try_from(us).ok()),
        },
    })
}
