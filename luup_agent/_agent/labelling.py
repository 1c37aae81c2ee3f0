"""The methods of `Agent` that find the label of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Optional, Sequence, TypeVar, cast, overload

from typing_extensions import Unpack

from luup_agent._agent.classify import QUESTION, read_labels
from luup_agent._agent.hooks import prompt_now, prompt_now_async
from luup_agent._agent.state import AgentState
from luup_agent._tools.context import RunContext
from luup_agent.messages import Message
from luup_agent.settings import RunOptions, Settings

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from luup_agent._agent.classify import Classification
    from luup_agent.agent import Agent

L = TypeVar("L")


class Labelling(AgentState):
    """Methods of `Agent` that classify texts."""

    @overload
    def classify(
        self,
        text: str,
        labels: TypeForm[L],
        *,
        instructions: Optional[str] = None,
        calibrate: bool = True,
        **options: Unpack[RunOptions],
    ) -> Classification[L]: ...
    @overload
    def classify(
        self,
        text: str,
        labels: Sequence[str],
        *,
        instructions: Optional[str] = None,
        calibrate: bool = True,
        **options: Unpack[RunOptions],
    ) -> Classification[str]: ...
    @overload
    def classify(
        self,
        text: str,
        labels: Any,
        *,
        instructions: Optional[str] = None,
        calibrate: bool = True,
        **options: Unpack[RunOptions],
    ) -> Classification[Any]: ...
    def classify(
        self,
        text: str,
        labels: Any,
        *,
        instructions: Optional[str] = None,
        calibrate: bool = True,
        **options: Unpack[RunOptions],
    ) -> Classification[Any]:
        """Find the label that fits a text, by the probability that the model gives to each label as its answer.

        Nothing is generated, and the history is neither read nor written. Models prefer some labels whatever the text
        is: with `calibrate`, the probabilities for a text without content ("N/A") are divided out.

        Args:
            text: The text to classify.
            labels: An enum, a ``Literal``, ``bool`` (for a question in `instructions`) or a list of str.
            instructions: What the labels mean; by default "Which label fits the text?".
            calibrate: Whether to correct the model's preference for some labels.
            **options: Of `RunOptions`, only `timeout` matters.

        Returns:
            The label, and the probabilities of all labels.

        Raises:
            InvalidParamError: `labels` is of another type, or `text` is empty.
            LuupError: As `run`.

        Example:
            >>> result = agent.classify("I love it!", ["positive", "negative"])
            >>> result.label, round(sum(result.probabilities.values()), 6)
            ('positive', 1.0)
        """
        read, settings = read_labels(labels), self._scoring_settings("classify", options)
        classifier = self._parts.classifier_with(prompt_now(self._parts, self._scoring_context(text, settings)))
        return classifier.classify(text, read, instructions or QUESTION, calibrate, settings)

    @overload
    async def classify_async(
        self,
        text: str,
        labels: TypeForm[L],
        *,
        instructions: Optional[str] = None,
        calibrate: bool = True,
        **options: Unpack[RunOptions],
    ) -> Classification[L]: ...
    @overload
    async def classify_async(
        self,
        text: str,
        labels: Sequence[str],
        *,
        instructions: Optional[str] = None,
        calibrate: bool = True,
        **options: Unpack[RunOptions],
    ) -> Classification[str]: ...
    @overload
    async def classify_async(
        self,
        text: str,
        labels: Any,
        *,
        instructions: Optional[str] = None,
        calibrate: bool = True,
        **options: Unpack[RunOptions],
    ) -> Classification[Any]: ...
    async def classify_async(
        self,
        text: str,
        labels: Any,
        *,
        instructions: Optional[str] = None,
        calibrate: bool = True,
        **options: Unpack[RunOptions],
    ) -> Classification[Any]:
        """Do the same as `classify`, under asyncio.

        Args:
            text: As for `classify`.
            labels: As for `classify`.
            instructions: As for `classify`.
            calibrate: As for `classify`.
            **options: As for `classify`.

        Returns:
            The label, and the probabilities of all labels.

        Raises:
            LuupError: As `classify`.

        Example:
            >>> result = await agent.classify_async("I love it!", ["positive", "negative"])
        """
        read, settings = read_labels(labels), self._scoring_settings("classify_async", options)
        prompt = await prompt_now_async(self._parts, self._scoring_context(text, settings))
        classifier = self._parts.classifier_with(prompt)
        return await classifier.classify_async(text, read, instructions or QUESTION, calibrate, settings)

    def _scoring_context(self, text: str, settings: Settings) -> RunContext[Any]:
        asked = [Message(role="user", content=text)] if isinstance(text, str) else []
        return RunContext(settings.deps, cast("Agent[Any, Any]", self), "", "", 0, lambda: asked)

    def _scoring_settings(self, caller: str, options: Mapping[str, Any]) -> Settings:
        self._parts.handle.native  # noqa: B018  # raises if the agent was closed
        return self._parts.settings.override(caller, options)
