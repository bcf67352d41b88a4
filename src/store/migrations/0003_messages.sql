CREATE TABLE outbox (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       TEXT NOT NULL,
    day      TEXT NOT NULL,
    kind     TEXT NOT NULL,
    severity TEXT NOT NULL,
    mode     TEXT NOT NULL,
    trade_id TEXT,
    once_key TEXT,
    headline TEXT NOT NULL,
    fields   TEXT NOT NULL,
    footer   TEXT,
    UNIQUE (day, once_key)
) STRICT;

CREATE TABLE outbox_delivery (
    outbox_id   INTEGER PRIMARY KEY REFERENCES outbox (id),
    state       TEXT NOT NULL,
    attempts    INTEGER NOT NULL,
    message_ids TEXT NOT NULL,
    at          TEXT NOT NULL,
    repeated    INTEGER NOT NULL,
    error       TEXT
) STRICT;

CREATE TABLE inbox (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    source    TEXT NOT NULL,
    update_id INTEGER,
    chat      INTEGER,
    user      INTEGER,
    actor     TEXT NOT NULL,
    command   TEXT NOT NULL,
    asked_at  TEXT NOT NULL,
    UNIQUE (source, update_id)
) STRICT;

CREATE TABLE answers (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    request INTEGER NOT NULL,
    done    INTEGER NOT NULL,
    text    TEXT NOT NULL,
    at      TEXT NOT NULL
) STRICT;
CREATE INDEX answers_by_request ON answers (request);

CREATE TABLE once (
    day TEXT NOT NULL,
    key TEXT NOT NULL,
    at  TEXT NOT NULL,
    PRIMARY KEY (day, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          TEXT NOT NULL,
    source      TEXT NOT NULL,
    actor       TEXT NOT NULL,
    what        TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    correlation TEXT
) STRICT;

CREATE TABLE telegram_updates (
    update_id INTEGER PRIMARY KEY,
    at        TEXT NOT NULL
) STRICT;

CREATE TABLE bot_state (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
