"""Classifying a text by scoring the labels instead of generating one."""

from __future__ import annotations

import json
import math
from enum import Enum
from typing import (
    Any,
    Dict,
    Generic,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    overload,
)

from typing_extensions import Literal, Unpack, get_args, get_origin

from luup_agent import _native
from luup_agent import run as _run
from luup_agent.agent_base import AgentBase
from luup_agent.errors import InvalidParamError
from luup_agent.sampling import RunOptions

L = TypeVar("L")

_NO_CONTENT = (
    "N/A"  # Zhao et al. 2021, "Calibrate Before Use": a text that says nothing shows what the labels get anyway
)
_QUESTION = "Which label fits the text?"


class Classification(Generic[L]):
    """The label of a text, and how probable each one is.

    Attributes:
        label: The most probable one.
        probabilities: Of all labels, 1 together.

    Example:
        >>> Classification({"good": 0.75, "bad": 0.25}).label
        'good'
    """

    __slots__ = ("label", "probabilities")

    def __init__(self, probabilities: Dict[L, float]) -> None:
        self.probabilities = probabilities
        self.label: L = max(probabilities, key=probabilities.__getitem__)

    def __eq__(self, other: object) -> bool:
        """Whether the other one has the same probabilities."""
        return isinstance(other, Classification) and self.probabilities == other.probabilities

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Such as ``Classification('good', 75%)``."""
        return f"Classification({self.label!r}, {self.probabilities[self.label]:.0%})"


class Labels(NamedTuple):
    """The labels that may be chosen, and how the model is asked for each."""

    values: Tuple[Any, ...]
    texts: Tuple[str, ...]


def read_labels(labels: Any) -> Labels:
    """The labels of an enum, a ``Literal``, ``bool`` or a sequence of str.

    An enum's member goes by its value if that is a str, else by its name; a bool by "yes" and "no".

    Raises:
        InvalidParamError: It is none of these, has no two labels, or two labels with the same text.
    """
    if isinstance(labels, type) and issubclass(labels, Enum):
        values: Tuple[Any, ...] = tuple(labels)
        texts = [member.value if isinstance(member.value, str) else member.name for member in values]
    elif get_origin(labels) is Literal:
        values = get_args(labels)
        texts = [value if isinstance(value, str) else _literal_text(value) for value in values]
    elif labels is bool:
        values, texts = (True, False), ["yes", "no"]
    elif isinstance(labels, Sequence) and not isinstance(labels, (str, bytes)):
        values = tuple(labels)
        texts = list(values)
    else:
        raise InvalidParamError(f"labels must be an Enum, a Literal, bool or a list of str, not {labels!r}")
    for index, text in enumerate(texts):
        if not _native.encode_text(f"labels[{index}]", text):
            raise InvalidParamError(f"labels[{index}] is empty")
    if len(texts) < 2 or len(set(texts)) < len(texts):
        raise InvalidParamError("labels must be at least two different texts")
    return Labels(values, tuple(texts))


def _literal_text(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else json.dumps(value))


def normalise(scores: Sequence[float], priors: Optional[Sequence[float]] = None) -> List[float]:
    """Probabilities, 1 together, from log-probabilities; those of `priors` are divided out."""
    weights = [score - prior for score, prior in zip(scores, priors)] if priors is not None else list(scores)
    best = max(weights)
    if best == -math.inf:  # none of them can be
        return [1 / len(weights)] * len(weights)
    shares = [math.exp(weight - best) for weight in weights]
    return [share / sum(shares) for share in shares]


class Classifier(AgentBase):
    """The part of `Agent` that classifies."""

    _scorer: Optional[_native.NativeAgent] = None
    _priors: Optional[Dict[Tuple[str, Tuple[str, ...]], List[float]]] = None

    @overload
    def classify(
        self,
        text: str,
        labels: Type[L],
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
        """Says which label fits a text, by the probability that the model gives to each as its answer.

        Nothing is generated, and the history is neither read nor written. A model likes some labels more than others
        whatever the text: with `calibrate`, what they get for a text that says nothing ("N/A") is divided out.

        Args:
            text: What is to be classified.
            labels: An enum, a ``Literal``, ``bool`` (for a question in `instructions`) or a list of str.
            instructions: What the labels mean; by default "Which label fits the text?".
            calibrate: Whether to divide out what the labels get anyway.
            **options: Of `RunOptions`, only `timeout` matters.

        Returns:
            The label, and the probabilities of all.

        Raises:
            InvalidParamError: `labels` is none of these, or `text` is empty.
            LuupError: As `run`.

        Example:
            >>> result = agent.classify("I love it!", ["positive", "negative"])
            >>> result.label, round(sum(result.probabilities.values()), 6)
            ('positive', 1.0)
        """
        read, question = read_labels(labels), instructions or _QUESTION
        scores = self._score("classify", text, read, question, options)
        priors = self._prior(read, question)
        if calibrate and priors is None:
            priors = self._keep_prior(read, question, self._score("classify", _NO_CONTENT, read, question, options))
        return Classification(dict(zip(read.values, normalise(scores, priors if calibrate else None))))

    @overload
    async def classify_async(
        self,
        text: str,
        labels: Type[L],
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
        """Does what `classify` does, under asyncio.

        Args:
            text: As for `classify`.
            labels: As for `classify`.
            instructions: As for `classify`.
            calibrate: As for `classify`.
            **options: As for `classify`.

        Returns:
            The label, and the probabilities of all.

        Raises:
            LuupError: As `classify`.

        Example:
            >>> result = await agent.classify_async("I love it!", ["positive", "negative"])
        """
        read, question = read_labels(labels), instructions or _QUESTION
        scores = await self._score_async(text, read, question, options)
        priors = self._prior(read, question)
        if calibrate and priors is None:
            priors = self._keep_prior(read, question, await self._score_async(_NO_CONTENT, read, question, options))
        return Classification(dict(zip(read.values, normalise(scores, priors if calibrate else None))))

    def _prior(self, labels: Labels, question: str) -> Optional[List[float]]:
        return (self._priors or {}).get((question, labels.texts))

    def _keep_prior(self, labels: Labels, question: str, scores: List[float]) -> List[float]:
        if self._priors is None:
            self._priors = {}
        self._priors[(question, labels.texts)] = scores
        return scores

    def _score(self, caller: str, text: str, labels: Labels, question: str, options: Mapping[str, Any]) -> List[float]:
        run = self._scoring_run(caller, text, labels, question, options)
        try:
            _run.complete(run)
            return _read_scores(run.text(), labels)
        finally:
            run.close()

    async def _score_async(self, text: str, labels: Labels, question: str, options: Mapping[str, Any]) -> List[float]:
        from luup_agent import async_run

        response = await async_run.respond(self._scoring_run("classify_async", text, labels, question, options))
        return _read_scores(response.text, labels)

    def _scoring_run(
        self, caller: str, text: str, labels: Labels, question: str, options: Mapping[str, Any]
    ) -> _run.Run:
        """A run of an agent of its own, which has neither history nor tools."""
        self._native_agent  # noqa: B018  # a closed agent says so
        if not _native.encode_text("text", text).strip():
            raise InvalidParamError("text is empty")
        if self._scorer is None:
            self._scorer = _native.NativeAgent(self._model._native_model, self._system_prompt, self._settings, False)
        settings = self._settings.override(caller, options)
        message = (
            f"{question}\n\nText: {text}\n\nLabels: {', '.join(labels.texts)}\n\nAnswer with one of the labels only."
        )
        task = _run.Task(message, settings, choices=labels.texts)
        return _run.Run(self._scorer, task, self, lambda: ({}, None))


def _read_scores(text: str, labels: Labels) -> List[float]:
    scores: List[float] = json.loads(text, parse_constant=float)
    assert len(scores) == len(labels.texts)
    return [-math.inf if score is None else float(score) for score in scores]
