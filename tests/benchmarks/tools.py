"""Tools on the real model: forced calls, a tool's round trip, and the cost of a grammar per token.

    python tests/benchmarks/tools.py [--model FILE] [--large FILE] [--calls N] [--rounds N]

- Forced calls: every one of --calls runs must call its tool, with arguments that pydantic takes.
- Round trip: from the end of a call's last token until the engine has the next prompt, without the model's time.
  Two figures: the time from the call reaching Python until the core has its result, which includes Python's work, the
  tool and the next prompt; and all of the run's time that is neither queue, prefill nor decode.
- Scripted: the time of a further call in a run whose model's answers are there already, in a loop.
- Grammar: processor time per token of a typed run less that of a free run, on --large, a model with a large vocabulary;
  best one of few weights, since the model's own time varies by more than the difference.
"""

import argparse
import math
import statistics
import time
from typing import Literal

from pydantic import BaseModel, Field

from luup_agent import Agent, Model, _native, catalog
from luup_agent.testing import ScriptedModel, tool_call


def switch_lamp(room: Literal["kitchen", "hall", "attic"], on: bool, brightness: int = 100) -> str:
    """Switches a lamp.

    Args:
        room: Where it is.
        on: Whether it shall be on.
        brightness: In percent.
    """
    return "done"


def forced_calls(model, count):
    """How many of `count` runs called the tool, and the seconds that they took."""
    called = []

    def recorded(room: Literal["kitchen", "hall", "attic"], on: bool, brightness: int = 100) -> str:
        """Switches a lamp."""
        assert room in ("kitchen", "hall", "attic")
        assert type(on) is bool
        assert type(brightness) is int
        called.append(room)
        return "done"

    agent = Agent(
        model, tools=[recorded], tool_choice="recorded", temperature=1.0, max_tokens=256, parallel_tool_calls=False,
        enable_history=False,
    )  # fmt: skip
    started = time.perf_counter()
    with_call = 0
    for seed in range(count):
        first = None
        for event in agent.stream_events("Switch on the light in the hall.", seed=seed):
            if event.type == "tool_result":
                first = event
                break
        with_call += first is not None and not first.is_error
    return with_call, len(called), time.perf_counter() - started


class Clock:
    """Times what happens between a call and its result, at the border to the library."""

    def __init__(self):
        self.handed, self.python, self.core = 0.0, [], []

    def watch(self):
        take, submit = _native.NativeRun.next, _native.NativeRun.submit_result

        def timed_next(run, timeout_ms):
            kind = take(run, timeout_ms)
            if kind == _native.EVENT_TOOL_CALL:
                self.handed = time.perf_counter()
            return kind

        def timed_submit(run, *arguments):
            begun = time.perf_counter()
            submit(run, *arguments)
            self.python.append(begun - self.handed)
            self.core.append(time.perf_counter() - begun)

        _native.NativeRun.next, _native.NativeRun.submit_result = timed_next, timed_submit


def round_trips(model, rounds):
    """Medians in seconds: Python's part, the core's part, and all that is not the model's time."""
    clock = Clock()
    clock.watch()
    agent = Agent(
        model, tools=[switch_lamp], tool_choice="switch_lamp", temperature=0, max_tokens=256, enable_history=False
    )
    rest = []
    for number in range(rounds):
        timings = agent.run(f"Switch on light {number} in the hall.").timings
        rest.append(timings.total_seconds - timings.queue_seconds - timings.prefill_seconds - timings.decode_seconds)
    return [statistics.median(values) for values in (clock.python, clock.core, rest)]


def scripted_call():
    """Seconds that one more call takes where the model takes no time: request, answer, validation, tool and result."""
    best = {}
    for calls in (1, 3):
        times = []
        for _ in range(500):
            replies = [tool_call("switch_lamp", room="hall", on=True) for _ in range(calls)]
            agent = Agent(ScriptedModel([*replies, "Done."]), tools=[switch_lamp])
            begun = time.perf_counter()
            agent.run("Switch on the light.")
            times.append(time.perf_counter() - begun)
        best[calls] = statistics.median(times)
    return (best[3] - best[1]) / 2


class Story(BaseModel):
    """Something long."""

    text: str = Field(min_length=500, max_length=600)


def seconds_per_token(model, output_type):
    """Processor time of one decoded token, the best of three runs; other programs on the machine don't count."""
    agent = Agent(model, temperature=0, max_tokens=300, enable_history=False)
    best = math.inf
    for _ in range(3):
        begun = time.process_time()
        response = agent.run("Tell me a very long story of the moon.", output_type=output_type)
        best = min(best, (time.process_time() - begun) / response.usage.completion_tokens)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a file or a name of the catalog")
    parser.add_argument("--large", help="a model with a large vocabulary")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    print(f"scripted: {scripted_call() * 1e6:.0f} us for a further call")
    with Model.from_local(catalog.resolve(options.model), threads=1) as model:
        with_call, called, seconds = forced_calls(model, options.calls)
        print(f"forced calls: {with_call} of {options.calls} runs, the function ran {called} times, {seconds:.0f} s")
        python, core, rest = round_trips(model, options.rounds)
        print(f"round trip: Python {python * 1e6:.0f} us, core {core * 1e6:.0f} us; run less model {rest * 1e6:.0f} us")
    if options.large:
        with Model.from_local(options.large, threads=1) as model:
            free, typed = seconds_per_token(model, str), seconds_per_token(model, Story)
            print(f"grammar: {(typed - free) * 1e3:.2f} ms a token more than {free * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
