"""Classifying a text: the model scores the labels instead of generating one."""

from __future__ import annotations

import json
import math
from enum import Enum
from typing import Any, Dict, Generic, List, NamedTuple, Optional, Sequence, Tuple, TypeVar

from typing_extensions import Literal, get_args, get_origin

from luup_agent import _native
from luup_agent._run import operations, sync_run
from luup_agent._run.following import Follower
from luup_agent._run.run import Run
from luup_agent._run.task import Task
from luup_agent._shown import table
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

    def _repr_html_(self) -> str:
        """Return the labels and their probabilities as a table, for a notebook."""
        shares = sorted(self.probabilities.items(), key=lambda entry: -entry[1])
        return table([{"label": label, "probability": f"{share:.1%}"} for label, share in shares], 50, len(shares))


class Labels(NamedTuple):
    """The labels to choose from.

    Attributes:
        values: The labels.
        texts: What the model answers for each.
    """

    values: Tuple[Any, ...]
    texts: Tuple[str, ...]

    def classification(self, scores: List[float], priors: Optional[List[float]]) -> Classification[Any]:
        """Return the `Classification` for log-probabilities; those of `priors` are divided out."""
        return Classification(dict(zip(self.values, normalise(scores, priors))))


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
        scores = self._score(text, labels, question, settings)
        return labels.classification(scores, self.priors(labels, question, settings) if calibrate else None)

    def priors(self, labels: Labels, question: str, settings: Settings) -> List[float]:
        """Return the log-probabilities of the labels for a text without content."""
        key = question, labels.texts
        if key not in self._priors:
            self._priors[key] = self._score(_NO_CONTENT, labels, question, settings)
        return self._priors[key]

    def _score(self, text: str, labels: Labels, question: str, settings: Settings) -> List[float]:
        run = self.run(text, labels, question, settings)
        try:
            sync_run.complete(run)
            return read_scores(run.text(), labels)
        finally:
            run.close()

    async def classify_async(
        self, text: str, labels: Labels, question: str, calibrate: bool, settings: Settings
    ) -> Classification[Any]:
        """Do the same as `classify`, under asyncio."""
        scores = await self._score_async(text, labels, question, settings)
        return labels.classification(scores, await self.priors_async(labels, question, settings) if calibrate else None)

    async def priors_async(self, labels: Labels, question: str, settings: Settings) -> List[float]:
        """Do the same as `priors`, under asyncio."""
        key = question, labels.texts
        if key not in self._priors:
            self._priors[key] = await self._score_async(_NO_CONTENT, labels, question, settings)
        return self._priors[key]

    async def _score_async(self, text: str, labels: Labels, question: str, settings: Settings) -> List[float]:
        from luup_agent._run import async_run

        run = self.run(text, labels, question, settings)
        return await async_run.finish(run, lambda run: read_scores(run.text(), labels))

    def run(self, text: str, labels: Labels, question: str, settings: Settings) -> Run:
        """Return the run that scores the labels of a text; its text is read by `read_scores`."""
        if not _native.encode_text("text", text).strip():
            raise InvalidParamError("text is empty")
        if self._scorer is None:
            self._scorer = _native.NativeAgent(self._model._native_model, self.system_prompt, self._settings, False)
        # The text comes last: the tokens before it are computed once for all texts.
        message = f"{question} Answer with one of the labels only.\n\nLabels: {', '.join(labels.texts)}\n\nText: {text}"
        run = Run(self._scorer, Task(message, settings, choices=labels.texts))
        if operations.begin is not None:
            run.following.followers.append(_Scoring(operations.begin("classify", self._model.get_info().path)))
        return run


class _Scoring(Follower):
    """Watches a run that scores labels."""

    def __init__(self, operation: operations.Operation) -> None:
        self._operation: Optional[operations.Operation] = operation

    def begin(self, run: Run) -> None:
        if self._operation is not None:
            self._operation.start()

    def end(self, run: Run) -> None:
        self._end(None, run.native.tokens()[0])

    def failed(self, run: Run) -> None:
        self._end("_OTHER", 0)

    def closed(self) -> None:
        self._end("_OTHER", 0)

    def _end(self, error: Optional[str], tokens: int) -> None:
        operation, self._operation = self._operation, None
        if operation is not None:
            operation.end(error, tokens)


def read_scores(text: str, labels: Labels) -> List[float]:
    """Return the log-probabilities in the text of a run that scores labels.

    Those of a row of logits that is not finite are -inf.
    """
    scores: List[float] = json.loads(text, parse_constant=float)
    assert len(scores) == len(labels.texts)
    return [-math.inf if score is None else float(score) for score in scores]
