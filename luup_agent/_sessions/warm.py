"""The KV state of conversations, in a folder beside their database, so that another process goes on without a prefill.

The database has the conversations; these files only save time. One that is missing, damaged or of another model costs
a prefill, and is written again after the next run.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
from typing import TYPE_CHECKING, Any, Callable, Iterator, List, Tuple

from luup_agent._files import shorten_path
from luup_agent._logging import logger
from luup_agent.errors import LuupError, StorageError

if TYPE_CHECKING:
    from luup_agent.agent import Agent

_SUFFIX = ".kv"
_GROWTH = 8  # a file is written again once its conversation has grown by an eighth


class WarmStates:
    """The files of one folder, at most as many bytes as it may have: the ones that were used last."""

    def __init__(self, folder: str, most: int) -> None:
        """Use a folder, which is made when the first state is kept.

        Args:
            folder: Its path.
            most: The bytes that all files may have together.
        """
        self._folder = folder
        self._most = most
        self._is_warned = False

    def load(self, session: str, agent: Agent[Any, Any]) -> int:
        """Prepare the next run of an agent that continues a conversation.

        Returns:
            How many tokens the state has; 0 if there is none that can be used.
        """
        path = self._path(session, agent)
        if not os.path.lexists(path) or not self._is_private():
            return 0
        try:
            tokens = agent._parts.handle.native.load_state(path)
            os.utime(path)  # it was used
            return tokens
        except (StorageError, OSError) as error:  # the next run writes it again
            logger.info("the KV state of the session %r is not used: %s", session, error)
            with contextlib.suppress(OSError):
                os.unlink(path)
        return 0

    def save(self, session: str, agent: Agent[Any, Any], known: int) -> int:
        """Keep the state that the last run of an agent has left, if it is worth it.

        Args:
            session: The id of the conversation.
            agent: The agent, which answers nothing now.
            known: The tokens of the existing file; 0 if there is none.

        Returns:
            How many tokens the file has now.
        """
        try:
            if not self._is_private(make=True):
                return 0
            least = known + known // _GROWTH + 1
            tokens = agent._parts.handle.native.save_state(self._path(session, agent), least, self._most)
            if tokens:
                self._drop_oldest()
            return tokens or known
        except (LuupError, OSError) as error:  # the conversation is stored: the program goes on
            logger.warning("the KV state of the session %r could not be kept: %s", session, error)
            return known

    def forget(self, session: str) -> None:
        """Delete the files of a conversation."""
        for name in self._of(session):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self._folder, name))

    def rename(self, session: str, new: str) -> None:
        """Give the files of a conversation to another id."""
        self._pass_on(session, new, os.replace)

    def branch(self, session: str, new: str) -> None:
        """Let another conversation begin with the files of this one."""
        self._pass_on(session, new, os.link)

    def _pass_on(self, session: str, new: str, act: Callable[[str, str], Any]) -> None:
        for name in self._of(session):
            target = _name_of(new) + name[len(_name_of(session)) :]
            with contextlib.suppress(OSError, NotImplementedError):  # a file system without links
                act(os.path.join(self._folder, name), os.path.join(self._folder, target))

    def _of(self, session: str) -> List[str]:
        begin = _name_of(session) + "-"
        with contextlib.suppress(OSError):
            return [name for name in os.listdir(self._folder) if name.startswith(begin) and name.endswith(_SUFFIX)]
        return []

    def _path(self, session: str, agent: Agent[Any, Any]) -> str:
        model = hashlib.sha256(os.fsencode(agent._parts.model.get_info().path)).hexdigest()[:8]
        return os.path.join(self._folder, f"{_name_of(session)}-{model}{_SUFFIX}")

    def _is_private(self, make: bool = False) -> bool:
        """Tell whether only its owner can write to the folder: a state is trusted as a model's file is."""
        if make:
            with contextlib.suppress(FileExistsError):
                os.makedirs(self._folder, 0o700)
        with contextlib.suppress(FileNotFoundError):
            info = os.lstat(self._folder)
            private = stat.S_ISDIR(info.st_mode)
            if sys.platform != "win32":
                private = private and info.st_uid == os.geteuid() and not info.st_mode & 0o022
            if not private and not self._is_warned:
                self._is_warned = True
                logger.warning(
                    "no KV states are kept in %s: it must be a folder that only its owner can write to",
                    shorten_path(self._folder),
                )
            return private
        return False

    def _drop_oldest(self) -> None:
        """Delete the files that were not used for the longest time, until the others fit."""
        files = sorted(self._files(), reverse=True)
        total = 0
        for _, size, path in files:
            total += size
            if total > self._most:
                with contextlib.suppress(OSError):  # another process has deleted it, or has it open
                    os.unlink(path)

    def _files(self) -> Iterator[Tuple[float, int, str]]:
        for name in os.listdir(self._folder):
            path = os.path.join(self._folder, name)
            with contextlib.suppress(OSError):
                info = os.lstat(path)
                if name.endswith(_SUFFIX) and stat.S_ISREG(info.st_mode):
                    yield info.st_mtime, info.st_size, path


def _name_of(session: str) -> str:
    return hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()[:32]
