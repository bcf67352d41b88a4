-- Rupees are REAL here because people's queries expect them so; our own code
-- reads the integers and the record.
CREATE TABLE trades (
    trade_id           TEXT PRIMARY KEY,
    date               TEXT NOT NULL,
    instrument         TEXT NOT NULL,
    symbol             TEXT NOT NULL,
    strike             REAL,
    option_type        TEXT,
    entry_time         TEXT,
    entry_price        REAL,
    entry_candle_low   REAL NOT NULL,
    exit_time          TEXT,
    exit_price         REAL,
    exit_reason        TEXT,
    scenario           ANY NOT NULL,
    structure          TEXT NOT NULL,
    first_candle_entry INTEGER NOT NULL,
    target_price       REAL NOT NULL,
    sl_price           REAL NOT NULL,
    candles_held       INTEGER NOT NULL,
    pnl_points         REAL,
    pnl_rupees         REAL,
    lot_size           INTEGER NOT NULL,
    re_entry           INTEGER NOT NULL,
    pivot_pp           REAL,
    pivot_r1           REAL,
    pivot_r2           REAL,
    pivot_r3           REAL,
    pivot_r4           REAL,
    pivot_r5           REAL,
    pivot_s1           REAL,
    charges            REAL NOT NULL,
    net_pnl            REAL NOT NULL,
    direction          TEXT NOT NULL,
    exchange           TEXT NOT NULL,
    closed             INTEGER NOT NULL,
    gross_paise        INTEGER NOT NULL,
    charges_paise      INTEGER NOT NULL,
    net_paise          INTEGER NOT NULL,
    record             TEXT NOT NULL
) STRICT;
CREATE INDEX trades_by_date ON trades (date, trade_id);

CREATE TABLE orders (
    date               TEXT NOT NULL,
    intent             INTEGER NOT NULL,
    trade_id           TEXT NOT NULL,
    role               TEXT NOT NULL,
    tag                TEXT NOT NULL,
    order_id           TEXT,
    exchange           TEXT NOT NULL,
    symbol             TEXT NOT NULL,
    side               TEXT NOT NULL,
    order_type         TEXT NOT NULL,
    quantity           INTEGER NOT NULL,
    price_paise        INTEGER NOT NULL,
    trigger_paise      INTEGER,
    status             TEXT NOT NULL,
    message            TEXT,
    filled             INTEGER NOT NULL,
    filled_value_paise INTEGER NOT NULL,
    decided_at         TEXT NOT NULL,
    answered_at        TEXT,
    ended_at           TEXT,
    changes            INTEGER NOT NULL,
    record             TEXT NOT NULL,
    PRIMARY KEY (date, intent)
) STRICT, WITHOUT ROWID;

CREATE TABLE decisions (
    id       INTEGER PRIMARY KEY,
    date     TEXT NOT NULL,
    exchange TEXT NOT NULL,
    symbol   TEXT NOT NULL,
    start    TEXT NOT NULL,
    at       TEXT NOT NULL,
    verdict  TEXT NOT NULL,
    reason   TEXT NOT NULL,
    record   TEXT NOT NULL
) STRICT;
CREATE INDEX decisions_by_candle ON decisions (date, start, symbol);

CREATE TABLE signals (
    signal_id       INTEGER PRIMARY KEY,
    date            TEXT NOT NULL,
    time            TEXT NOT NULL,
    instrument      TEXT NOT NULL,
    symbol          TEXT NOT NULL,
    strike          REAL,
    option_type     TEXT,
    signal_type     TEXT NOT NULL,
    scenario        ANY,
    structure       TEXT,
    candle_open     REAL NOT NULL,
    candle_high     REAL NOT NULL,
    candle_low      REAL NOT NULL,
    candle_close    REAL NOT NULL,
    candle_size_pct REAL NOT NULL,
    is_significant  INTEGER,
    pivot_pp        REAL,
    pivot_r1        REAL,
    pivot_r2        REAL,
    pivot_r3        REAL,
    action_taken    TEXT NOT NULL,
    reason          TEXT NOT NULL,
    decision_id     INTEGER NOT NULL
) STRICT;
CREATE INDEX signals_by_date ON signals (date, time);

CREATE TABLE daily_summary (
    date                 TEXT NOT NULL,
    instrument           TEXT NOT NULL,
    total_trades         INTEGER NOT NULL,
    wins                 INTEGER NOT NULL,
    losses               INTEGER NOT NULL,
    win_rate             REAL NOT NULL,
    gross_pnl            REAL NOT NULL,
    max_drawdown         REAL NOT NULL,
    scenario_1_trades    INTEGER NOT NULL,
    scenario_2_trades    INTEGER NOT NULL,
    scenario_3_trades    INTEGER NOT NULL,
    first_candle_entries INTEGER NOT NULL,
    intraday_entries     INTEGER NOT NULL,
    stop_losses          INTEGER NOT NULL,
    targets_hit          INTEGER NOT NULL,
    timeouts             INTEGER NOT NULL,
    eod_exits            INTEGER NOT NULL,
    charges              REAL NOT NULL,
    net_pnl              REAL NOT NULL,
    gross_paise          INTEGER NOT NULL,
    charges_paise        INTEGER NOT NULL,
    net_paise            INTEGER NOT NULL,
    record               TEXT NOT NULL,
    PRIMARY KEY (date, instrument)
) STRICT, WITHOUT ROWID;

-- Permission and its cause, every change of it; the last row holds now.
CREATE TABLE state (
    id         INTEGER PRIMARY KEY,
    date       TEXT NOT NULL,
    permission TEXT NOT NULL,
    reason     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    since      TEXT NOT NULL
) STRICT;

CREATE TABLE outlook (
    date       TEXT NOT NULL,
    position   INTEGER NOT NULL,
    exchange   TEXT NOT NULL,
    symbol     TEXT NOT NULL,
    structure  TEXT NOT NULL,
    levels     TEXT NOT NULL,
    facts      TEXT NOT NULL,
    PRIMARY KEY (date, exchange, symbol)
) STRICT, WITHOUT ROWID;

-- What people changed; for each limit the last row holds.
CREATE TABLE limits (
    id      INTEGER PRIMARY KEY,
    date    TEXT NOT NULL,
    name    TEXT NOT NULL,
    value   INTEGER NOT NULL,
    at_once INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    record  TEXT NOT NULL
) STRICT;
