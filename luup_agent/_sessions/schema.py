"""The tables of conversations, and the steps from each version of them to the next."""

from __future__ import annotations

from typing import Tuple

Step = Tuple[str, ...]

_SESSIONS = """CREATE TABLE luup_sessions (
    id VARCHAR(200) PRIMARY KEY,
    title TEXT,
    created DOUBLE PRECISION NOT NULL,
    updated DOUBLE PRECISION NOT NULL,
    messages INTEGER NOT NULL,
    usage TEXT NOT NULL,
    version INTEGER NOT NULL,
    next_seq INTEGER NOT NULL
)"""
_MESSAGES = """CREATE TABLE luup_session_messages (
    {key}session VARCHAR(200) NOT NULL,
    seq INTEGER NOT NULL,
    kind VARCHAR(20) NOT NULL,
    role VARCHAR(20) NOT NULL,
    body TEXT NOT NULL,
    text TEXT NOT NULL,
    stored DOUBLE PRECISION NOT NULL,
    {unique} (session, seq)
)"""
_BY_TIME = "CREATE INDEX luup_sessions_updated ON luup_sessions (updated)"
_BRANCHES = (
    "ALTER TABLE luup_sessions ADD COLUMN parent VARCHAR(200)",
    "ALTER TABLE luup_sessions ADD COLUMN branched_at INTEGER",
)

# The first step makes the tables of version 1. A file of SQLite has its version in `PRAGMA user_version`.
SQLITE_STEPS: Tuple[Step, ...] = (
    # Numbers that are not used again, for the index of the search.
    (_SESSIONS, _MESSAGES.format(key="number INTEGER PRIMARY KEY AUTOINCREMENT,\n    ", unique="UNIQUE"), _BY_TIME),
    (*_BRANCHES, "CREATE TABLE luup_session_indexed (number INTEGER NOT NULL)"),
)
SQL_STEPS: Tuple[Step, ...] = (
    (_SESSIONS, _MESSAGES.format(key="", unique="PRIMARY KEY"), _BY_TIME),
    _BRANCHES,
)
