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
