"""The parts that the modules for several frameworks share."""

from __future__ import annotations

import os

from luup_agent.errors import InvalidParamError, UnsupportedError
from luup_agent.model import Model


class MissingPackageError(UnsupportedError, ImportError):
    """A framework is not installed; the message has the command that installs it."""

    __module__ = "luup_agent.integrations"


def missing(extra: str, error: ImportError) -> MissingPackageError:
    """Return the error for a framework that can't be imported."""
    return MissingPackageError(
        f"luup_agent.integrations needs a package that can't be imported ({error}); "
        f'run `pip install "luup-agent[{extra}]"`'
    )


def check_model(model: object) -> Model:
    """Return `model` if it is one.

    Raises:
        InvalidParamError: It is something else.
    """
    if not isinstance(model, Model):
        raise InvalidParamError(
            f"model must be a luup_agent.Model, such as Model.from_local(path), not {type(model).__name__}"
        )
    return model


def name_of(model: Model) -> str:
    """Return a name for `model`: its file's, without the ending, or the name that its server has for it."""
    info = model.get_info()
    if info.backend in ("remote", "fallback") or not info.path:
        return info.description
    return os.path.splitext(os.path.basename(info.path))[0]
