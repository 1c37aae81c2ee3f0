"""The common interface of the databases of conversations."""

from __future__ import annotations

import asyncio
from typing import Callable, TypeVar

from luup_agent._sessions.statements import Connection

T = TypeVar("T")


class Database:
    """A database of conversations.

    Attributes:
        is_async: Whether it works in asynchronous runs only.
    """

    is_async = False

    def run(self, work: Callable[[Connection], T], writes: bool = False) -> T:
        """Return the result of `work`, which a transaction encloses.

        Args:
            work: Gets the connection.
            writes: Whether it changes the database.

        Raises:
            StorageError: The database can't be used.
        """
        raise NotImplementedError

    async def run_async(self, work: Callable[[Connection], T], writes: bool = False) -> T:
        """Do the same without blocking the event loop."""
        return await asyncio.get_running_loop().run_in_executor(None, self.run, work, writes)

    def close(self) -> None:
        """Close the database, if this object has opened it."""
        raise NotImplementedError
