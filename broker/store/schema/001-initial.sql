-- One row of `task` per task, written once and never moved. Which of ready, scheduled and done holds a
-- row of the same task is its state; exactly one of them does. What is in ready and leased is PROCESSING.

CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- Names and counters. Counters are kept here so that a start need not count rows.
CREATE TABLE queue (
    id        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL UNIQUE,
    waiting   INTEGER NOT NULL,
    scheduled INTEGER NOT NULL,
    dead      INTEGER NOT NULL,
    bytes     INTEGER NOT NULL
);

-- As submitted. seq is given out in ascending order, so inserts append.
CREATE TABLE task (
    seq         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL,
    queue_id    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    origin      TEXT,
    priority    INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL,
    run_at_ms   INTEGER,
    expires_ms  INTEGER,
    timeout_ms  INTEGER,
    backoff_ms  INTEGER,
    max_retries INTEGER,
    body_kind   INTEGER NOT NULL,
    reply_to    BLOB,
    body        BLOB NOT NULL
);

-- QUEUED and PROCESSING. key = queue id (17 bits), 15 - priority (4 bits), seq (42 bits): the order of running.
CREATE TABLE ready (key INTEGER PRIMARY KEY);

-- SCHEDULED.
CREATE TABLE scheduled (seq INTEGER PRIMARY KEY, due_ms INTEGER NOT NULL);
CREATE INDEX scheduled_by_due ON scheduled (due_ms);

-- QUEUED or SCHEDULED tasks that have an expiry.
CREATE TABLE expiry (expires_ms INTEGER, seq INTEGER, PRIMARY KEY (expires_ms, seq)) WITHOUT ROWID;

-- PROCESSING: the leases that one commit gave (sqlite_lease.h). One holds while its task is in ready, and
-- in tries with fewer attempts or not at all.
CREATE TABLE lease_batch (number INTEGER PRIMARY KEY, leases BLOB NOT NULL);

-- Counters of tasks that were tried without success; absent means all zero.
CREATE TABLE tries (
    seq      INTEGER PRIMARY KEY,
    attempts INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    deaths   INTEGER NOT NULL
);

-- Attempts that did not end in success.
CREATE TABLE attempt (
    seq         INTEGER,
    number      INTEGER,
    ending      INTEGER NOT NULL,
    worker      TEXT,
    started_ms  INTEGER,
    ended_ms    INTEGER,
    duration_ms INTEGER,
    reason      TEXT,
    error       TEXT,
    traceback   TEXT,
    PRIMARY KEY (seq, number)
) WITHOUT ROWID;

-- SUCCESS, FAILED, CANCELLED, EXPIRED.
CREATE TABLE done (
    seq          INTEGER PRIMARY KEY,
    state        INTEGER NOT NULL,
    remove_at_ms INTEGER,
    attempts     INTEGER NOT NULL,
    ending       INTEGER NOT NULL,
    worker       TEXT,
    started_ms   INTEGER,
    ended_ms     INTEGER,
    duration_ms  INTEGER,
    result_kind  INTEGER,
    result       BLOB,
    reason       TEXT,
    error        TEXT,
    traceback    TEXT
);

-- FAILED, by queue: key = queue id, zero, seq as in ready.
CREATE TABLE dead (key INTEGER PRIMARY KEY);

-- When ended tasks may go: the seqs (8 bytes each, little-endian) of one commit that end together. number is
-- the first of them: a task ends for good once, so no other row has it.
CREATE TABLE sweep (
    remove_at_ms INTEGER,
    number       INTEGER,
    seqs         BLOB NOT NULL,
    PRIMARY KEY (remove_at_ms, number)
) WITHOUT ROWID;

-- The id index (id_index.h). Every id of a slice up to sealed_seq is in a run, or its task is gone.
CREATE TABLE id_slice (
    slice      INTEGER PRIMARY KEY,
    sealed_seq INTEGER NOT NULL
) STRICT;

CREATE TABLE id_run (
    run     INTEGER PRIMARY KEY,
    slice   INTEGER NOT NULL,
    min_seq INTEGER NOT NULL,
    max_seq INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    chunks  INTEGER NOT NULL,
    blocks  INTEGER NOT NULL,
    doomed  INTEGER NOT NULL
) STRICT;

-- key = run * 2^24 + position: rows of one run are neighbours, and a new run is at the end.
CREATE TABLE id_chunk (
    key  INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;
