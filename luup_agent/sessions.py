"""Conversations in a database: `SQLiteSessions` in a file, `SQLSessions` in PostgreSQL and others.

Example:
    >>> from luup_agent import Agent, SQLiteSessions
    >>> sessions = SQLiteSessions("chats.db")
    >>> session = sessions.open("ada", Agent(model))
    >>> session.generate("My name is Ada.")
    'Hello Ada!'
    >>> sessions.open("ada", Agent(model)).generate("What is my name?")  # also in another process
    'Your name is Ada.'
"""

from __future__ import annotations

from luup_agent._sessions.records import SessionInfo, SessionMatch
from luup_agent._sessions.session import Session
from luup_agent._sessions.store import Sessions, SQLiteSessions, SQLSessions

__all__ = ["SQLSessions", "SQLiteSessions", "Session", "SessionInfo", "SessionMatch", "Sessions"]
