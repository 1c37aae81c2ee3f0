"""An agent behind OpenAI's API: a server in this process, and a client that reads the stream of its answer.

python examples/serve_agent.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …

Needs: pip install "luup-agent[serve]". A program that only serves calls `luup_agent.server.serve({"clerk": agent})`;
`luup-agent serve app.py:agent` does it for an agent that a file makes.
"""

import json
import sys
import threading
import time

import httpx

from luup_agent import Agent, LuupError, Model, catalog
from luup_agent.server import create_app


def make_agent(model: Model) -> Agent:
    agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=64)

    @agent.tool
    def opening_hours(day: str) -> str:
        """Get the opening hours of the shop on a day."""
        return f"On {day} the shop is open from 9 to 17."

    return agent


def ask(url: str, question: str) -> None:
    """Ask as any client would, and print the events."""
    body = {
        "model": "clerk",
        "messages": [{"role": "user", "content": question}],
        "tool_choice": {"type": "function", "function": {"name": "opening_hours"}},
        "stream": True,
    }
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                delta = json.loads(line[len("data: ") :])["choices"][0]["delta"]
                event = delta.get("luup", {})
                if event.get("type") == "tool_call":
                    print(f"the server calls {event['name']}")
                elif event.get("type") == "tool_result":
                    print(f"it returned: {event['content']}")
                print(delta.get("content") or "", end="", flush=True)
    print()


def main() -> int:
    try:
        import uvicorn

        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path) as model:
            app = create_app({"clerk": make_agent(model)}, max_tokens=64)
            server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off", ws="none"))
            thread = threading.Thread(target=server.run)
            thread.start()
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            try:
                ask(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", "When do you open on Monday?")
            finally:
                server.should_exit = True
                thread.join()
    except (LuupError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
