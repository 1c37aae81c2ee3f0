"""The kinds of work that a map does with the prompt of an item: answer it, or find its label."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NamedTuple, Optional

from pydantic import ValidationError

from luup_agent._agent.classify import Classification, Labels, read_scores
from luup_agent._run import sync_run
from luup_agent._run.run import Run
from luup_agent._run.typed_output import AnySpec
from luup_agent._tools.context import ModelRetry
from luup_agent.errors import InvalidOutputError
from luup_agent.messages import Usage
from luup_agent.settings import Settings

if TYPE_CHECKING:
    import asyncio

    from luup_agent.agent import Agent

OnRun = Callable[[Run], None]


class Answer(NamedTuple):
    """The answer to one item.

    Attributes:
        value: The value for the user.
        text: The same as text, for the file.
        usage: The token counts.
        finish_reason: "stop" or "length".
    """

    value: Any
    text: str
    usage: Usage
    finish_reason: Any


class Work:
    """One kind of work.

    Attributes:
        asked: The form of the question that all items share, for the file of results.
    """

    asked: Dict[str, Any]

    def worker(self) -> Agent[Any, Any]:
        """Return an agent that works on one item at a time."""
        raise NotImplementedError

    def run(self, worker: Agent[Any, Any], prompt: str) -> Run:
        """Return the run for a prompt, which has not begun."""
        raise NotImplementedError

    def answer(self, run: Run) -> Answer:
        """Return the answer of a run that has ended."""
        raise NotImplementedError

    def restore(self, text: str) -> Any:
        """Return the value of an answer's text."""
        raise NotImplementedError

    def do(self, worker: Agent[Any, Any], prompt: str, on_run: OnRun) -> Answer:
        """Return the answer to a prompt. `on_run` gets the run, which any thread may close."""
        run = self.run(worker, prompt)
        try:
            on_run(run)
            sync_run.complete(run)
            return self.answer(run)
        finally:
            run.close()

    async def do_async(self, worker: Agent[Any, Any], prompt: str) -> Answer:
        """Do the same under asyncio."""
        from luup_agent._run import async_run

        return await async_run.finish(self.run(worker, prompt), self.answer)


def _prompt_of(agent: Agent[Any, Any]) -> Optional[str]:
    """Return an agent's system prompt, or the name of the function that makes it."""
    prompt = agent.system_prompt
    if prompt is None or isinstance(prompt, str):
        return prompt
    return f"{prompt.__module__}.{prompt.__qualname__}" if hasattr(prompt, "__qualname__") else repr(type(prompt))


class Generating(Work):
    """Answers prompts with forks of an agent."""

    def __init__(
        self, agent: Agent[Any, Any], output: Optional[AnySpec], output_type: Any, options: Mapping[str, Any]
    ) -> None:
        self._agent = agent
        self._output = output
        self._output_type = output_type
        self._options = options
        form = None if output is None else [output.request.kind, output.request.text]
        self.asked = {"system_prompt": _prompt_of(agent), "output_type": form}

    def worker(self) -> Agent[Any, Any]:
        """Return a fork without a history."""
        fork = self._agent.fork()
        fork.clear_history()
        return fork

    def run(self, worker: Agent[Any, Any], prompt: str) -> Run:
        """Return a run of the worker, which forgets the item before."""
        worker.clear_history()
        return worker._new_run("map", prompt, self._options, self._output_type)

    def answer(self, run: Run) -> Answer:
        """Return the answer of a run."""
        value = run.value()
        return Answer(value, run.text(), run.usage(), run.native.finish_reason())

    def restore(self, text: str) -> Any:
        """Return the value of an answer's text."""
        if self._output is None:
            return text
        try:
            return self._output.validate(text)
        except (ValidationError, ModelRetry) as error:
            raise InvalidOutputError(f"a validator rejects a result of the file: {error}") from error


class Labelling(Work):
    """Finds the labels of texts."""

    def __init__(
        self, agent: Agent[Any, Any], labels: Labels, question: str, calibrate: bool, settings: Settings
    ) -> None:
        self._agent = agent
        self._classifier = agent._parts.classifier
        self._labels = labels
        self._question = question
        self._calibrate = calibrate
        self._settings = settings
        self._lock = threading.Lock()  # the bias of the model is computed once
        self._priors: Optional[asyncio.Task[List[float]]] = None
        self.asked = {
            "system_prompt": _prompt_of(agent),
            "labels": list(labels.texts),
            "instructions": question,
            "calibrate": calibrate,
        }

    def worker(self) -> Agent[Any, Any]:
        """Return the agent itself: its classifier keeps no history."""
        return self._agent

    def run(self, worker: Agent[Any, Any], prompt: str) -> Run:
        """Return a run that scores the labels."""
        return self._classifier.run(prompt, self._labels, self._question, self._settings)

    def do(self, worker: Agent[Any, Any], prompt: str, on_run: OnRun) -> Answer:
        """Return the scores of a text, with the model's bias divided out."""
        answer = super().do(worker, prompt, on_run)
        priors = None
        if self._calibrate:
            with self._lock:
                priors = self._classifier.priors(self._labels, self._question, self._settings)
        return self._calibrated(answer, priors)

    async def do_async(self, worker: Agent[Any, Any], prompt: str) -> Answer:
        """Do the same under asyncio."""
        answer = await super().do_async(worker, prompt)
        priors = None
        if self._calibrate:
            import asyncio

            if self._priors is None:
                computed = self._classifier.priors_async(self._labels, self._question, self._settings)
                self._priors = asyncio.ensure_future(computed)
            priors = await asyncio.shield(self._priors)
        return self._calibrated(answer, priors)

    def _calibrated(self, answer: Answer, priors: Optional[List[float]]) -> Answer:
        found = self._labels.classification(answer.value, priors)
        text = json.dumps([found.probabilities[label] for label in self._labels.values])
        return answer._replace(value=found, text=text)

    def answer(self, run: Run) -> Answer:
        """Return the scores of a run."""
        return Answer(read_scores(run.text(), self._labels), "", run.usage(), "stop")

    def restore(self, text: str) -> Classification[Any]:
        """Return the classification of a line of the file."""
        try:
            values = [float(value) for value in json.loads(text)]
            return Classification(dict(zip(self._labels.values, values)))
        except (TypeError, ValueError) as error:
            raise InvalidOutputError(f"a result of the file is not a list of probabilities: {text[:80]}") from error
