"""How well a small model calls tools: the Berkeley Function Calling Leaderboard v4, judged by its syntax-tree rules.

    python tests/benchmarks/bfcl.py [--kinds KIND …] [--every N] [--limit N] [--model FILE] [--peers] [--json FILE]

Greedy, the first turn only, each function of a question as a tool with its own JSON schema. The questions and the model
(Qwen2.5-Coder-0.5B-Instruct, if no other is named) are downloaded once. With --peers the same file answers through
llama-cpp-python and llama.cpp's server too (xllamacpp has it as a library), which are installed in environments of
their own; the first is built, about ten minutes. Prints a table in Markdown.
"""

import argparse
import json
import time
from pathlib import Path

import bfcl_peers
from bfcl_data import questions, qwen
from bfcl_match import matches

import luup_agent
from luup_agent import Agent, LuupError, Model, Tool

KINDS = ("simple_python", "multiple", "parallel", "irrelevance")
CONTEXT = 8192
MAX_TOKENS = 1024


def _never_called(**arguments):
    raise AssertionError("a tool that waits for an approval was run")


class Ours:
    """This library. Every call waits for an approval that never comes, so a run ends with its first turn."""

    name = "luup-agent"

    def __init__(self, model, threads):
        self._model = Model.from_local(model, threads=threads, context_size=CONTEXT)

    def calls(self, question):
        """The calls that the model makes, as pairs of name and arguments."""
        tools = [
            Tool(
                _never_called,
                name=tool["function"]["name"],
                description=tool["function"].get("description", ""),
                parameters=tool["function"]["parameters"],
                requires_approval=True,
            )
            for tool in question.tools
        ]
        *earlier, last = question.messages
        system = "\n\n".join(message["content"] for message in earlier if message["role"] == "system")
        with Agent(self._model, system or None, tools=tools, temperature=0, max_tokens=MAX_TOKENS) as agent:
            for message in earlier:
                if message["role"] != "system":
                    agent.add_message(message["role"], message["content"])
            response = agent.run(last["content"], tool_choice="auto")
        return [(call.name, call.arguments) for call in response.pending]

    def close(self):
        """Frees the model."""
        self._model.close()


def ask(side, asked):
    """One row for each question: the calls, the verdict and the seconds."""
    rows = []
    for number, question in enumerate(asked, 1):
        begin = time.perf_counter()
        try:
            calls, problem = side.calls(question), None
        except (LuupError, bfcl_peers.PeerError) as error:
            calls, problem = [], f"{type(error).__name__}: {error}"
        right = problem is None and matches(question.functions, calls, question.accepted)
        seconds = time.perf_counter() - begin
        row = {"id": question.id, "calls": calls, "right": right, "problem": problem, "seconds": seconds}
        rows.append(row)
        print(f"\r{side.name}: {number}/{len(asked)}, {sum(r['right'] for r in rows)} right", end="", flush=True)
    print()
    return rows


def table(results, kinds):
    """The percentages, one line for each side, their mean last."""
    counts = [len(next(iter(results.values()))[kind]) for kind in kinds]
    heads = [f"{kind} ({count})" for kind, count in zip(kinds, counts)]
    lines = ["| | " + " | ".join([*heads, "mean", "s/question"]) + " |", "|---" * (len(kinds) + 3) + "|"]
    for name, by_kind in results.items():
        shares = [100 * sum(row["right"] for row in by_kind[kind]) / len(by_kind[kind]) for kind in kinds]
        seconds = [row["seconds"] for kind in kinds for row in by_kind[kind]]
        cells = [f"{share:.1f}" for share in [*shares, sum(shares) / len(shares)]]
        lines.append("| " + " | ".join([name, *cells, f"{sum(seconds) / len(seconds):.1f}"]) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=KINDS, help=f"of the leaderboard's files ({' '.join(KINDS)})")
    parser.add_argument("--every", type=int, default=1, help="ask every n-th question only")
    parser.add_argument("--limit", type=int, help="questions of each kind at most")
    parser.add_argument("--model", type=Path, help="a GGUF file")
    parser.add_argument("--threads", type=int, default=0, help="0: what the library chooses")
    parser.add_argument("--peers", action="store_true", help="ask llama-cpp-python and llama.cpp's server too")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every answer")
    arguments = parser.parse_args()

    model = arguments.model or qwen()
    asked = {kind: questions(kind)[:: arguments.every][: arguments.limit] for kind in arguments.kinds}
    sides = [lambda: Ours(model, arguments.threads)]
    if arguments.peers:
        sides.append(lambda: bfcl_peers.LlamaCppPython(model, arguments.threads, CONTEXT))
        sides.append(lambda: bfcl_peers.LlamaServer(model, arguments.threads, CONTEXT))
    results = {}
    for make in sides:
        side = make()
        try:
            results[side.name] = {kind: ask(side, entries) for kind, entries in asked.items()}
        finally:
            side.close()
    print(f"\n{model.name}, luup-agent {luup_agent.__version__}, llama.cpp {luup_agent.llama_version()}\n")
    print(table(results, arguments.kinds))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
