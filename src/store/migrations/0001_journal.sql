CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: the epoch of the process that may write the journal.
CREATE TABLE writer (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    epoch      INTEGER NOT NULL,
    pid        INTEGER NOT NULL,
    claimed_at TEXT NOT NULL
) STRICT;
INSERT INTO writer (id, epoch, pid, claimed_at) VALUES (1, 0, 0, '');

CREATE TRIGGER writer_only_forward BEFORE UPDATE ON writer
WHEN NEW.epoch <= OLD.epoch
BEGIN SELECT RAISE(ABORT, 'the epoch only grows'); END;

CREATE TABLE runs (
    epoch       INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL,
    pid         INTEGER NOT NULL,
    started_at  TEXT NOT NULL,
    version     TEXT NOT NULL,
    build       TEXT NOT NULL,
    config_hash TEXT NOT NULL,
    sqlite      TEXT NOT NULL,
    schema      INTEGER NOT NULL,
    mode        TEXT NOT NULL
) STRICT;

CREATE TABLE journal (
    seq      INTEGER PRIMARY KEY,
    epoch    INTEGER NOT NULL,
    day      TEXT NOT NULL,
    at       TEXT NOT NULL,
    v        INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    event    TEXT NOT NULL,
    seen     TEXT NOT NULL,
    commands TEXT NOT NULL
) STRICT;
CREATE INDEX journal_by_day ON journal (day, seq);

CREATE TRIGGER journal_fence BEFORE INSERT ON journal
WHEN NEW.epoch <> (SELECT epoch FROM writer WHERE id = 1)
BEGIN SELECT RAISE(ABORT, 'fenced: another process writes the journal'); END;

CREATE TRIGGER journal_is_final BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is never rewritten'); END;

-- Every command that can change an order, findable by tag before it is sent.
CREATE TABLE intents (
    seq      INTEGER NOT NULL,
    idx      INTEGER NOT NULL,
    day      TEXT NOT NULL,
    kind     TEXT NOT NULL,
    intent   INTEGER,
    tag      TEXT,
    order_id TEXT,
    PRIMARY KEY (seq, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX intents_by_tag ON intents (tag) WHERE tag IS NOT NULL;
