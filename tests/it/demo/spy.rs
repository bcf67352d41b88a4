//! Looks over the shoulder of a day: collects the secrets that come up in it,
//! and what pages, chat and files show, and then searches these for those.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

/// Planted by the environment.
pub(super) const API_TOKEN: &str = "planted-api-token-0123456789";

/// Planted in a login that nobody began.
const FORGED_TOKEN: &str = "PlantedRequestToken0123456789abc";

/// Pages that are asked for while the day goes on.
const PAGES: [&str; 11] = [
    "/",
    "/health",
    "/status",
    "/api/health",
    "/api/metrics/health",
    "/api/monitoring",
    "/metrics",
    "/api/logs?limit=1000",
    "/api/logs?level=nonsense",
    "/nowhere",
    "/callback?status=success&action=login&request_token=PlantedRequestToken0123456789abc&state=x",
];

const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Spy {
    folder: PathBuf,
    secrets: BTreeSet<String>,
    tokens: usize,
    seen: Vec<(String, String)>,
    looked: Option<Instant>,
}

impl Spy {
    pub(super) fn new(folder: &Path) -> Spy {
        let secrets = BTreeSet::from([API_TOKEN.to_string(), FORGED_TOKEN.to_string()]);
        Spy { folder: folder.to_owned(), secrets, tokens: 0, seen: Vec::new(), looked: None }
    }

    /// Looks at what there is by now; what is not there yet is looked at
    /// later.
    pub(super) fn look(&mut self) {
        for token in self.tokens_of_the_database().unwrap_or_default() {
            self.tokens += usize::from(self.secrets.insert(token));
        }
        if self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return;
        }
        self.looked = Some(Instant::now());
        let Some(config) = self.config() else { return };
        for key in ["/api_secret", "/telegram_token"] {
            let secret = config.pointer(key).and_then(Value::as_str);
            self.secrets.extend(secret.map(str::to_string));
        }
        let address = |key: &str| {
            let text = config.pointer(key).and_then(Value::as_str)?;
            Some(text.trim_start_matches("http://").trim_end_matches('/').to_string())
        };
        if let Some(address) = address("/auth/listen") {
            for page in PAGES {
                let answer = get(&address, page).unwrap_or_default();
                self.seen.push((format!("page {page}"), answer));
            }
        }
        if let Some(address) = address("/telegram/api_url") {
            let chat = get(&address, "/_sim/telegram/messages").unwrap_or_default();
            self.seen.push(("chat".into(), chat));
        }
    }

    fn config(&self) -> Option<Value> {
        let text = fs::read_to_string(self.folder.join("config.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn tokens_of_the_database(&self) -> rusqlite::Result<Vec<String>> {
        let connection = read_only(&self.folder.join("data/trading.db"))?;
        let sql = "SELECT request_token FROM login_tokens WHERE request_token IS NOT NULL
            UNION SELECT access_token FROM broker_session WHERE access_token IS NOT NULL";
        let mut statement = connection.prepare(sql)?;
        let tokens = statement.query_map([], |row| row.get(0))?;
        tokens.collect()
    }

    /// Fails when anything that people or programs can see holds a secret.
    pub(super) fn find_no_secret(mut self, output: &str) {
        assert!(self.tokens >= 2, "no session was seen; there was nothing to look for");
        let pages =
            self.seen.iter().filter(|(name, text)| name == "page /metrics" && !text.is_empty());
        assert!(pages.count() > 3, "no pages were seen");
        let chat = self.seen.iter().any(|(name, text)| name == "chat" && text.len() > 1000);
        assert!(chat, "no chat was seen");
        self.seen.push(("output".into(), output.to_string()));
        let mut files = Vec::new();
        all_files(&self.folder, &mut files);
        let logs = files.iter().filter(|path| path.to_string_lossy().contains("/logs/")).count();
        assert!(logs > 10, "{files:?}");
        for path in files {
            let name = path.strip_prefix(&self.folder).unwrap().display().to_string();
            match name.as_str() {
                // Where they belong.
                "config.json" => {}
                // Its tables are looked at; a page that was wiped may linger
                // in a file that is its owner's alone.
                "data/trading.db" => self.seen.push((name, tables(&path))),
                "data/trading.db-wal" | "data/trading.db-shm" => {}
                _ => {
                    let bytes = fs::read(&path).unwrap();
                    self.seen.push((name, String::from_utf8_lossy(&bytes).into_owned()));
                }
            }
        }
        for (name, text) in &self.seen {
            for secret in &self.secrets {
                let found = text.contains(secret.as_str());
                assert!(!found, "{name} holds a secret that begins with {:.4}", secret);
            }
        }
    }
}

fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_millis(200))?;
    Ok(connection)
}

/// All that the tables hold.
fn tables(path: &Path) -> String {
    let connection = read_only(path).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table'";
    let mut statement = connection.prepare(sql).unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    let names: Vec<String> = names.collect::<rusqlite::Result<_>>().unwrap();
    let mut text = String::new();
    for name in names {
        let mut statement = connection.prepare(&format!("SELECT * FROM \"{name}\"")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = row.get_ref(column).unwrap()
                {
                    text.push_str(&String::from_utf8_lossy(bytes));
                    text.push('\n');
                }
            }
        }
    }
    text
}

fn all_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// An answer with its head; an error while nobody listens.
fn get(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {API_TOKEN}\r\n\
         Connection: close\r\n\r\n"
    )?;
    let mut bytes = Vec::new();
    // What came before a time-out counts.
    let _ = stream.read_to_end(&mut bytes);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
