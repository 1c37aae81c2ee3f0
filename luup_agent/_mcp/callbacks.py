"""The requests of a server to its client: questions to the user, and texts of a model.

A request without a callback of the user is refused.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

from luup_agent._logging import logger
from luup_agent._mcp import sdk
from luup_agent._mcp.background import call_back
from luup_agent.errors import InvalidParamError

Callback = Callable[[Any], Any]


class Callbacks(NamedTuple):
    """The user's functions.

    Attributes:
        elicitation: Gets the SDK's `ElicitRequestParams`; returns the form as a dict, True, False or None.
        sampling: Gets the SDK's `CreateMessageRequestParams`; returns a text, or None to refuse.
    """

    elicitation: Optional[Callback] = None
    sampling: Optional[Callback] = None

    def for_client(self) -> Dict[str, Any]:
        """Return the arguments of the SDK's client; only features with a callback are offered to the server."""
        found: Dict[str, Any] = {}
        if self.elicitation is not None:
            found["elicitation_callback"] = self._elicit
        if self.sampling is not None:
            found["sampling_callback"] = self._sample
        return found

    async def _elicit(self, context: Any, params: Any) -> Any:
        types = sdk.load("mcp_types")
        assert self.elicitation is not None
        try:
            answer = await call_back(self.elicitation, params)
        except Exception as error:
            return _failed(types, "on_elicitation", error)
        if isinstance(answer, types.ElicitResult):
            return answer
        if isinstance(answer, Mapping):
            return types.ElicitResult(action="accept", content=dict(answer))
        if answer is True:
            return types.ElicitResult(action="accept", content=None if params.mode == "url" else {})
        if answer is False:
            return types.ElicitResult(action="decline")
        if answer is None:
            return types.ElicitResult(action="cancel")
        wrong = InvalidParamError(f"it must return a dict, True, False or None, not {type(answer).__name__}")
        return _failed(types, "on_elicitation", wrong)

    async def _sample(self, context: Any, params: Any) -> Any:
        types = sdk.load("mcp_types")
        assert self.sampling is not None
        try:
            answer = await call_back(self.sampling, params)
        except Exception as error:
            return _failed(types, "on_sampling", error)
        if answer is None:
            return types.ErrorData(code=types.INVALID_REQUEST, message="The user refused the request")
        if isinstance(answer, types.ErrorData):  # a sampler's
            return answer
        if not isinstance(answer, str):
            if isinstance(answer, (types.CreateMessageResult, types.CreateMessageResultWithTools)):
                return answer
            wrong = InvalidParamError(f"it must return a text or None, not {type(answer).__name__}")
            return _failed(types, "on_sampling", wrong)
        content = types.TextContent(text=answer)
        return types.CreateMessageResult(role="assistant", content=content, model="luup-agent", stop_reason="endTurn")


def _failed(types: Any, name: str, error: Exception) -> Any:
    logger.warning("%s failed", name, exc_info=error)
    return types.ErrorData(code=types.INTERNAL_ERROR, message=f"The client's callback failed: {type(error).__name__}")
