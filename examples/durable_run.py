"""A run whose process is killed in the middle: another process goes on, and no tool is called twice.

python examples/durable_run.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from luup_agent import Agent, DurableRuns, Event, LuupError, Model, RunContext, catalog


def work(path: str, folder: str) -> None:
    """Begin the run, or go on with it."""

    def show(event: Event) -> None:
        if event.type == "tool_result" and not Path(folder, "killed").exists():
            Path(folder, "killed").touch()
            print("killed after the result was recorded", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    with Model.from_local(path) as model:
        agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=128, on_event=show)

        @agent.tool
        def add(ctx: RunContext, a: int, b: int) -> int:
            """Adds two numbers."""
            print(f"add is called, key {ctx.run_id}/{ctx.call_id}", flush=True)
            return a + b

        response = DurableRuns(folder).run("sum", agent, "What is 5 + 3?", tool_choice="add")
        print(f"ended with {len(response.messages)} messages, the sum is {response.tool_calls[0].result.content}")


def main() -> int:
    try:
        if len(sys.argv) > 2:
            work(sys.argv[1], sys.argv[2])
            return 0
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(2):
                subprocess.run([sys.executable, __file__, str(path), folder], check=False)
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
