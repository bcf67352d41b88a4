//! The same tables in a PostgreSQL server, for those who gather logs of
//! several machines.
//!
//! An outage of the server touches nothing here: a connection and each batch
//! have little time, and rows wait in memory meanwhile. The connection is not
//! encrypted: use a socket, this machine, or a tunnel.

use std::io;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use super::backend::{Backend, BackendError};
use super::{Record, Row, Table};

/// Time for a connection, and for a batch.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const STORE_WITHIN: Duration = Duration::from_secs(10);

/// Number of the lock under which one of several services makes the tables.
const SCHEMA_LOCK: i64 = 0x7069_766f_744c_6f67;

/// Why rows are not stored.
#[derive(Debug, thiserror::Error)]
enum PostgresError {
    /// The address is none.
    #[error("logging.postgres_url is no address of a PostgreSQL server")]
    Address,
    /// No connection.
    #[error("could not connect to PostgreSQL")]
    Connect(#[source] tokio_postgres::Error),
    /// The server refused or broke off.
    #[error("PostgreSQL did not store log rows")]
    Store(#[source] tokio_postgres::Error),
    /// It took too long.
    #[error("PostgreSQL did not answer within {} s", .0.as_secs())]
    Late(Duration),
}

/// A PostgreSQL server. Its calls block the sink's thread only.
#[derive(Debug)]
pub struct PostgresBackend {
    address: SecretString,
    runtime: Runtime,
    client: Option<Client>,
}

impl PostgresBackend {
    /// A backend that connects when it first stores. `address` is such as
    /// `postgresql://user:password@127.0.0.1/logs`.
    ///
    /// # Errors
    /// When the system gives no runtime.
    pub fn new(address: SecretString) -> io::Result<PostgresBackend> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("log-postgres")
            .enable_all()
            .build()?;
        Ok(PostgresBackend { address, runtime, client: None })
    }
}

impl Backend for PostgresBackend {
    fn store(&mut self, records: &[Record]) -> Result<(), BackendError> {
        let client = self.client.take().filter(|client| !client.is_closed());
        let (system, performance): (Vec<&Record>, Vec<&Record>) =
            records.iter().partition(|record| record.row.duration_us.is_none());
        let address = &self.address;
        let work = async {
            let mut client = match client {
                Some(client) => client,
                None => within(CONNECT_WITHIN, connect(address)).await?,
            };
            let batch = store(&mut client, &system, &performance);
            within(STORE_WITHIN, batch).await?;
            Ok::<Client, PostgresError>(client)
        };
        self.client = Some(self.runtime.block_on(work)?);
        Ok(())
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    tokio::time::timeout(limit, work).await.map_err(|_| PostgresError::Late(limit))?
}

async fn connect(address: &SecretString) -> Result<Client, PostgresError> {
    // The parser's own words could show the password.
    let config: tokio_postgres::Config =
        address.expose_secret().parse().map_err(|_| PostgresError::Address)?;
    let (client, connection) = config.connect(NoTls).await.map_err(PostgresError::Connect)?;
    // It ends with the client; its error is the next batch's.
    tokio::spawn(async {
        let _ = connection.await;
    });
    let prepare = format!("SELECT pg_advisory_lock({SCHEMA_LOCK})");
    let finish = format!("SELECT pg_advisory_unlock({SCHEMA_LOCK})");
    let tables = Table::ALL.map(Table::postgres).concat();
    for sql in [&prepare, &tables, &finish] {
        client.batch_execute(sql).await.map_err(PostgresError::Store)?;
    }
    Ok(client)
}

async fn store(
    client: &mut Client,
    system: &[&Record],
    performance: &[&Record],
) -> Result<(), PostgresError> {
    let work = async {
        let transaction = client.transaction().await?;
        if system.is_empty() && performance.is_empty() {
            transaction.batch_execute("SELECT 1").await?;
        }
        for (table, records) in [(Table::System, system), (Table::Performance, performance)] {
            if !records.is_empty() {
                let columns = Columns::of(records);
                let mut parameters = columns.parameters();
                parameters.truncate(1 + table.columns().len());
                transaction.execute(table.postgres_insert().as_str(), &parameters).await?;
            }
        }
        transaction.commit().await
    };
    work.await.map_err(PostgresError::Store)
}

/// A batch, column by column.
#[derive(Default)]
struct Columns<'a> {
    id: Vec<i64>,
    at: Vec<String>,
    service: Vec<String>,
    component: Vec<String>,
    level: Vec<&'a str>,
    target: Vec<String>,
    message: Vec<String>,
    data: Vec<String>,
    correlation_id: Vec<Option<String>>,
    event_type: Vec<Option<String>>,
    duration_us: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(records: &[&'a Record]) -> Columns<'a> {
        let mut columns = Columns::default();
        for Record { id, row } in records {
            columns.id.push(*id);
            columns.at.push(row.at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true));
            columns.service.push(text(&row.service));
            columns.component.push(text(&row.component));
            columns.level.push(row.level.as_str());
            columns.target.push(text(&row.target));
            columns.message.push(text(&row.message));
            columns.data.push(data(row));
            columns.correlation_id.push(row.correlation_id.as_deref().map(text));
            columns.event_type.push(row.event_type.as_deref().map(text));
            let duration_us = row.duration_us.unwrap_or(0);
            columns.duration_us.push(i64::try_from(duration_us).unwrap_or(i64::MAX));
        }
        columns
    }

    /// In the order of the tables' columns.
    fn parameters(&self) -> Vec<&(dyn tokio_postgres::types::ToSql + Sync)> {
        vec![
            &self.id,
            &self.at,
            &self.service,
            &self.component,
            &self.level,
            &self.target,
            &self.message,
            &self.data,
            &self.correlation_id,
            &self.event_type,
            &self.duration_us,
        ]
    }
}

/// The server takes no zero bytes.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// What the server takes as JSON for sure: one row that it refuses would keep
/// its whole batch out for ever.
fn data(row: &Row) -> String {
    let value = serde_json::from_str::<serde_json::Value>(&row.data)
        .unwrap_or_else(|_| serde_json::json!({ "text": row.data }));
    value.to_string().replace("\\u0000", "\\ufffd")
}
