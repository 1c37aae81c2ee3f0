"""Classifying a text: the model scores the labels instead of generating one."""

from __future__ import annotations

import json
import math
from enum import Enum
from typing import Any, Dict, Generic, List, NamedTuple, Optional, Sequence, Tuple, TypeVar

from typing_extensions import Literal, get_args, get_origin

from luup_agent import _native
from luup_agent._run import sync_run
from luup_agent._run.run import Run, Task
from luup_agent.errors import InvalidParamError
from luup_agent.model import Model
from luup_agent.settings import Settings

L = TypeVar("L")

# Zhao et al. 2021, "Calibrate Before Use": the scores for a text without content show the model's bias.
_NO_CONTENT = "N/A"
QUESTION = "Which label fits the text?"


class Classification(Generic[L]):
    """The label of a text, and the probabilities of all labels.

    Attributes:
        label: The most probable label.
        probabilities: The probability of each label; their sum is 1.

    Example:
        >>> Classification({"good": 0.75, "bad": 0.25}).label
        'good'
    """

    __slots__ = ("label", "probabilities")

    def __init__(self, probabilities: Dict[L, float]) -> None:
        self.probabilities = probabilities
        self.label: L = max(probabilities, key=probabilities.__getitem__)

    def __eq__(self, other: object) -> bool:
        """Tell whether the other classification has the same probabilities."""
        return isinstance(other, Classification) and self.probabilities == other.probabilities

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Return, for example, ``Classification('good', 75%)``."""
        return f"Classification({self.label!r}, {self.probabilities[self.label]:.0%})"


class Labels(NamedTuple):
    """The labels to choose from.

    Attributes:
        values: The labels.
        texts: What the model answers for each.
    """

    values: Tuple[Any, ...]
    texts: Tuple[str, ...]


def read_labels(labels: Any) -> Labels:
    """Return the labels of an enum, a ``Literal``, ``bool`` or a sequence of str.

    The text of an enum's member is its value if that is a str, else its name; the texts of bool are "yes" and "no".

    Raises:
        InvalidParamError: `labels` is of another type, has fewer than two labels, or two with the same text.
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
    """Return the probabilities for log-probabilities, with a sum of 1; those of `priors` are divided out."""
    weights = [score - prior for score, prior in zip(scores, priors)] if priors is not None else list(scores)
    best = max(weights)
    if best == -math.inf:  # all are impossible
        return [1 / len(weights)] * len(weights)
    shares = [math.exp(weight - best) for weight in weights]
    return [share / sum(shares) for share in shares]


class Classifier:
    """Scores labels with an agent of the core's that has neither history nor tools.

    It keeps how likely labels are without a text, by their texts and the question.

    Attributes:
        system_prompt: The system prompt; None if there is none.
    """

    def __init__(self, model: Model, system_prompt: Optional[str], settings: Settings) -> None:
        self._model = model
        self.system_prompt = system_prompt
        self._settings = settings
        self._scorer: Optional[_native.NativeAgent] = None  # made when it is first needed
        self._priors: Dict[Tuple[str, Tuple[str, ...]], List[float]] = {}

    def classify(
        self, text: str, labels: Labels, question: str, calibrate: bool, settings: Settings
    ) -> Classification[Any]:
        """Return the `Classification` of a text."""

        def score(text: str) -> List[float]:
            run = self._run(text, labels, question, settings)
            try:
                sync_run.complete(run)
                return _read_scores(run.text(), labels)
            finally:
                run.close()

        scores, key = score(text), (question, labels.texts)
        if calibrate and key not in self._priors:
            self._priors[key] = score(_NO_CONTENT)
        return _classification(labels, scores, self._priors[key] if calibrate else None)

    async def classify_async(
        self, text: str, labels: Labels, question: str, calibrate: bool, settings: Settings
    ) -> Classification[Any]:
        """Do the same as `classify`, under asyncio."""
        from luup_agent._run import async_run

        async def score(text: str) -> List[float]:
            response = await async_run.respond(self._run(text, labels, question, settings))
            return _read_scores(response.text, labels)

        scores, key = await score(text), (question, labels.texts)
        if calibrate and key not in self._priors:
            self._priors[key] = await score(_NO_CONTENT)
        return _classification(labels, scores, self._priors[key] if calibrate else None)

    def _run(self, text: str, labels: Labels, question: str, settings: Settings) -> Run:
        if not _native.encode_text("text", text).strip():
            raise InvalidParamError("text is empty")
        if self._scorer is None:
            self._scorer = _native.NativeAgent(self._model._native_model, self.system_prompt, self._settings, False)
        message = (
            f"{question}\n\nText: {text}\n\nLabels: {', '.join(labels.texts)}\n\nAnswer with one of the labels only."
        )
        return Run(self._scorer, Task(message, settings, choices=labels.texts))


def _classification(labels: Labels, scores: List[float], priors: Optional[List[float]]) -> Classification[Any]:
    return Classification(dict(zip(labels.values, normalise(scores, priors))))


def _read_scores(text: str, labels: Labels) -> List[float]:
    scores: List[float] = json.loads(text, parse_constant=float)
    assert len(scores) == len(labels.texts)
    return [-math.inf if score is None else float(score) for score in scores]
