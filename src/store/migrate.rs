//! Numbered migrations. The number of the last one that ran is the file's
//! `user_version`; a digest of each is kept, so that a file from another
//! build is told apart.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};
use sha2::{Digest, Sha256};

use super::StoreError;

struct Migration {
    number: u32,
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: [Migration; 4] = [
    Migration { number: 1, name: "journal", sql: include_str!("migrations/0001_journal.sql") },
    Migration { number: 2, name: "records", sql: include_str!("migrations/0002_records.sql") },
    Migration { number: 3, name: "messages", sql: include_str!("migrations/0003_messages.sql") },
    Migration { number: 4, name: "services", sql: include_str!("migrations/0004_services.sql") },
];

/// The newest schema that this program knows.
pub const SCHEMA_VERSION: u32 = MIGRATIONS[MIGRATIONS.len() - 1].number;

const CREATE_LEDGER: &str = "CREATE TABLE IF NOT EXISTS migrations (
    number     INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    digest     TEXT NOT NULL,
    applied_at TEXT NOT NULL
) STRICT";

/// Brings the schema up to date. The caller holds the migration lock.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let current = version(connection, path)?;
    if current > SCHEMA_VERSION {
        return Err(newer(path, current));
    }
    check_digests(connection, path, current)?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.number > current) {
        apply(connection, migration).map_err(|source| StoreError::Migrate {
            number: migration.number,
            name: migration.name,
            source,
        })?;
    }
    Ok(())
}

/// Checks that the schema is the one this program needs.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let found = version(connection, path)?;
    let known = SCHEMA_VERSION;
    match found.cmp(&known) {
        std::cmp::Ordering::Equal => check_digests(connection, path, found),
        std::cmp::Ordering::Greater => Err(newer(path, found)),
        std::cmp::Ordering::Less => {
            Err(StoreError::SchemaOlder { path: path.to_owned(), found, known })
        }
    }
}

fn newer(path: &Path, found: u32) -> StoreError {
    StoreError::SchemaNewer { path: path.to_owned(), found, known: SCHEMA_VERSION }
}

fn version(connection: &Connection, path: &Path) -> Result<u32, StoreError> {
    connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|source| StoreError::Open { path: path.to_owned(), source })
}

fn check_digests(connection: &Connection, path: &Path, current: u32) -> Result<(), StoreError> {
    if current == 0 {
        return Ok(());
    }
    let query = "SELECT digest FROM migrations WHERE number = ?1";
    for migration in MIGRATIONS.iter().filter(|migration| migration.number <= current) {
        let found: Option<String> =
            connection.query_row(query, [migration.number], |row| row.get(0)).ok();
        if found.as_deref() != Some(digest(migration.sql).as_str()) {
            let number = migration.number;
            return Err(StoreError::MigrationDiffers { path: path.to_owned(), number });
        }
    }
    Ok(())
}

fn apply(connection: &mut Connection, migration: &Migration) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute(CREATE_LEDGER, [])?;
    transaction.execute_batch(migration.sql)?;
    transaction.execute(
        "INSERT INTO migrations (number, name, digest, applied_at) VALUES (?1, ?2, ?3, ?4)",
        (
            migration.number,
            migration.name,
            digest(migration.sql),
            super::columns::At(crate::clock::real_now()),
        ),
    )?;
    transaction.pragma_update(None, "user_version", migration.number)?;
    transaction.commit()
}

fn digest(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_at(number: usize, dir: &Path) -> Connection {
        let mut connection = Connection::open(dir.join("trading.db")).unwrap();
        for migration in &MIGRATIONS[..number] {
            apply(&mut connection, migration).unwrap();
        }
        connection
    }

    fn count(connection: &Connection, table: &str) -> u32 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn every_earlier_schema_is_brought_up_to_date() {
        for number in 0..=MIGRATIONS.len() {
            let dir = tempfile::tempdir().unwrap();
            let mut connection = file_at(number, dir.path());
            if number > 0 {
                connection.execute("INSERT INTO meta VALUES ('mode', 'demo')", []).unwrap();
                if number < MIGRATIONS.len() {
                    let error = check(&connection, dir.path()).unwrap_err();
                    assert!(matches!(error, StoreError::SchemaOlder { .. }), "{error}");
                }
            }
            migrate(&mut connection, dir.path()).unwrap();
            check(&connection, dir.path()).unwrap();
            assert_eq!(count(&connection, "meta"), u32::from(number > 0));
            assert_eq!(count(&connection, "migrations"), SCHEMA_VERSION);
            assert_eq!(count(&connection, "heartbeats"), 0);
        }
    }

    #[test]
    fn a_newer_schema_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = file_at(MIGRATIONS.len(), dir.path());
        connection.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
        for error in [
            migrate(&mut connection, dir.path()).unwrap_err(),
            check(&connection, dir.path()).unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::SchemaNewer { .. }), "{error}");
        }
    }

    #[test]
    fn a_file_of_another_build_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = file_at(2, dir.path());
        connection.execute("UPDATE migrations SET digest = 'x' WHERE number = 2", []).unwrap();
        let error = migrate(&mut connection, dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::MigrationDiffers { number: 2, .. }), "{error}");
        assert_eq!(version(&connection, dir.path()).unwrap(), 2);
    }

    #[test]
    fn a_failed_migration_leaves_the_file_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = file_at(1, dir.path());
        let sql = "CREATE TABLE half (x TEXT) STRICT; CREATE TABLE meta (x TEXT) STRICT;";
        assert!(apply(&mut connection, &Migration { number: 2, name: "bad", sql }).is_err());
        assert_eq!(version(&connection, dir.path()).unwrap(), 1);
        assert!(connection.prepare("SELECT * FROM half").is_err());
    }
}
