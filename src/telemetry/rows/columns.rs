//! What a row is stored as: the columns of all tables, of `logs.db`, its
//! archive and a server's, and the statements that name them.

use std::sync::LazyLock;

use super::query::Table;

/// A column, besides a row's number and its place.
pub(super) struct Column {
    name: &'static str,
    sqlite: &'static str,
    #[cfg_attr(not(feature = "postgres"), expect(dead_code))]
    postgres: &'static str,
}

const fn column(name: &'static str, sqlite: &'static str, postgres: &'static str) -> Column {
    Column { name, sqlite, postgres }
}

/// In the order in which rows are stored and read.
const COLUMNS: [Column; 10] = [
    column("at", "TEXT NOT NULL", "TIMESTAMPTZ NOT NULL"),
    column("service", "TEXT NOT NULL", "TEXT NOT NULL"),
    column("component", "TEXT NOT NULL", "TEXT NOT NULL"),
    column("level", "TEXT NOT NULL", "TEXT NOT NULL"),
    column("target", "TEXT NOT NULL", "TEXT NOT NULL"),
    column("message", "TEXT NOT NULL", "TEXT NOT NULL"),
    column("data", "TEXT NOT NULL", "JSONB NOT NULL"),
    column("correlation_id", "TEXT", "TEXT"),
    column("event_type", "TEXT", "TEXT"),
    // Of the table of figures only; the last, so that the other has the rest.
    column("duration_us", "INTEGER NOT NULL", "BIGINT NOT NULL"),
];

impl Table {
    /// Both.
    pub(super) const ALL: [Table; 2] = [Table::System, Table::Performance];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Table::System => "system_logs",
            Table::Performance => "performance_logs",
        }
    }

    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Table::System => COLUMNS.split_last().map_or(&[], |(_, shared)| shared),
            Table::Performance => &COLUMNS,
        }
    }

    fn listed(self, of: impl FnMut(&Column) -> String) -> String {
        self.columns().iter().map(of).collect::<Vec<_>>().join(", ")
    }

    fn names(self) -> String {
        self.listed(|column| column.name.to_string())
    }

    /// The statement that makes the table in SQLite, with its indexes. `id` is
    /// microseconds since 1970 in UTC, times 1024, plus a number; `arrival` is
    /// the order in which rows came into the table.
    pub(super) fn sqlite(self) -> String {
        let (name, columns) =
            (self.name(), self.listed(|column| format!("{} {}", column.name, column.sqlite)));
        format!(
            "CREATE TABLE {name} (id INTEGER PRIMARY KEY, arrival INTEGER NOT NULL, {columns},
                kind INTEGER NOT NULL) STRICT;
            CREATE INDEX {name}_by_kind ON {name} (kind);
            CREATE UNIQUE INDEX {name}_by_arrival ON {name} (arrival);
            CREATE INDEX {name}_by_correlation ON {name} (correlation_id)
                WHERE correlation_id IS NOT NULL;"
        )
    }

    pub(super) fn statements(self) -> &'static Statements {
        match self {
            Table::System => &SYSTEM,
            Table::Performance => &PERFORMANCE,
        }
    }
}

/// The statements of one table in SQLite.
pub(super) struct Statements {
    pub(super) by_time: String,
    pub(super) by_kind: String,
    pub(super) by_correlation: String,
    /// `None` where there is no index of texts.
    pub(super) by_text: Option<&'static str>,
    pub(super) by_id: String,
    pub(super) by_arrival: String,
    pub(super) last_arrival: String,
    /// Number, arrival, kind, then the columns.
    pub(super) insert: String,
    /// Whether the row of this number is the same.
    pub(super) is_same: String,
    pub(super) delete: String,
    pub(super) delete_text: Option<&'static str>,
    pub(super) count: String,
    /// Numbers below the first value, oldest first, as many as the second.
    pub(super) oldest: String,
}

static SYSTEM: LazyLock<Statements> = LazyLock::new(|| Statements::of(Table::System));
static PERFORMANCE: LazyLock<Statements> = LazyLock::new(|| Statements::of(Table::Performance));

impl Statements {
    fn of(table: Table) -> Statements {
        let (name, columns) = (table.name(), table.names());
        let marks = ", ?".repeat(table.columns().len());
        let duration = if table == Table::System { ", NULL" } else { "" };
        let text = |sql: &'static str| (table == Table::System).then_some(sql);
        Statements {
            by_time: format!("SELECT id FROM {name} WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC"),
            by_kind: format!(
                "SELECT id FROM {name} WHERE kind = ?1 AND id BETWEEN ?2 AND ?3
                ORDER BY id DESC LIMIT ?4"
            ),
            by_correlation: format!(
                "SELECT id FROM {name}
                WHERE correlation_id = ?3 AND id BETWEEN ?1 AND ?2 ORDER BY id DESC"
            ),
            by_text: text(
                "SELECT rowid FROM system_logs_text
                WHERE system_logs_text MATCH ?3 AND rowid BETWEEN ?1 AND ?2 ORDER BY rowid DESC",
            ),
            by_id: format!("SELECT id, arrival, {columns}{duration} FROM {name} WHERE id = ?1"),
            by_arrival: format!(
                "SELECT id, arrival, {columns}{duration} FROM {name}
                WHERE arrival > ?1 ORDER BY arrival LIMIT ?2"
            ),
            last_arrival: format!("SELECT COALESCE(MAX(arrival), 0) FROM {name}"),
            insert: format!(
                "INSERT INTO {name} (id, arrival, kind, {columns}) VALUES (?, ?, ?{marks})
                ON CONFLICT (id) DO NOTHING"
            ),
            is_same: format!(
                "SELECT service = ?2 AND message = ?3 AND data = ?4 AND target = ?5
                FROM {name} WHERE id = ?1"
            ),
            delete: format!("DELETE FROM {name} WHERE id = ?1"),
            delete_text: text("DELETE FROM system_logs_text WHERE rowid = ?1"),
            count: format!("SELECT COUNT(*) FROM {name}"),
            oldest: format!("SELECT id FROM {name} WHERE id < ?1 ORDER BY id LIMIT ?2"),
        }
    }
}

/// The table in PostgreSQL.
#[cfg(feature = "postgres")]
impl Table {
    pub(super) fn postgres(self) -> String {
        let (name, columns) =
            (self.name(), self.listed(|column| format!("{} {}", column.name, column.postgres)));
        let of_lines = match self {
            Table::System => {
                "CREATE INDEX IF NOT EXISTS system_logs_by_level ON system_logs (level, id);
                CREATE INDEX IF NOT EXISTS system_logs_by_correlation
                    ON system_logs (correlation_id, id) WHERE correlation_id IS NOT NULL;"
            }
            Table::Performance => "",
        };
        format!(
            "CREATE TABLE IF NOT EXISTS {name} (id BIGINT NOT NULL, {columns},
                PRIMARY KEY (id, service));
            CREATE INDEX IF NOT EXISTS {name}_by_component ON {name} (component, id);
            {of_lines}"
        )
    }

    /// One statement for a batch, whatever its size: a list for each column.
    pub(super) fn postgres_insert(self) -> String {
        let (name, names) = (self.name(), self.names());
        let kind = |column: &Column| column.postgres.split(' ').next().unwrap_or_default();
        let values = self.listed(|column| format!("{}::{}", column.name, kind(column)));
        let mut place = 1;
        // Instants and JSON come as text.
        let lists = self.listed(|column| {
            place += 1;
            let kind = if kind(column) == "BIGINT" { "BIGINT" } else { "TEXT" };
            format!("${place}::{kind}[]")
        });
        format!(
            "INSERT INTO {name} (id, {names}) SELECT id, {values}
            FROM UNNEST($1::BIGINT[], {lists}) AS r (id, {names}) ON CONFLICT DO NOTHING"
        )
    }
}
