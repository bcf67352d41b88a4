CREATE TABLE login_tokens (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    state         TEXT NOT NULL UNIQUE,
    asked_at      TEXT NOT NULL,
    received_at   TEXT,
    request_token TEXT,
    status        TEXT NOT NULL,
    message       TEXT
) STRICT;

CREATE TABLE broker_session (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    login_id     INTEGER UNIQUE,
    day          TEXT NOT NULL,
    status       TEXT NOT NULL,
    access_token TEXT,
    user_id      TEXT NOT NULL,
    user_name    TEXT NOT NULL,
    login_time   TEXT NOT NULL,
    valid_until  TEXT NOT NULL,
    message      TEXT
) STRICT;

CREATE TABLE postbacks (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       TEXT NOT NULL,
    order_id TEXT NOT NULL,
    payload  TEXT NOT NULL
) STRICT;

CREATE TABLE heartbeats (
    service    TEXT PRIMARY KEY,
    pid        INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    at         TEXT NOT NULL,
    version    TEXT NOT NULL,
    phase      TEXT NOT NULL,
    detail     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
