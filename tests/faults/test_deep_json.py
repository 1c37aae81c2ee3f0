"""JSON that is nested deeply ends in a typed error, wherever it comes from."""

import os
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BEGIN = """
import threading
from support.http_server import Server, head
from luup_agent import Agent, LuupError, Model, Tool
from luup_agent.testing import FunctionModel, ScriptedModel, tool_call
DEPTHS = (193, 1000, 5000, 60_000, 300_000)
def lists(n): return "[" * n + "]" * n
def dicts(n): return '{"a":' * n + "1" + "}" * n
def show(function, *arguments, **options):
    try:
        value = function(*arguments, **options)
        print("-", "value", repr(value)[:60], flush=True)
    except LuupError as error:
        print("-", type(error).__name__, str(error)[:200].replace("\\n", " "), flush=True)
    except ValueError as error:
        print("- raw", type(error).__name__, str(error)[:80], flush=True)
def each(function):
    "Try a text at every depth, in this thread and in one with a small stack."
    def all():
        for depth in DEPTHS:
            for text in (lists(depth), dicts(depth)):
                show(function, text)
    all()
    threading.stack_size(256 * 1024)
    thread = threading.Thread(target=all)
    thread.start()
    thread.join()
kept = []  # Python 3.12 and later fill a small stack when they free a deep value
def deep(text):
    value = []
    top = value
    for _ in range(text.count("[") + text.count("{") - 1):
        inner = []
        value.append(inner)
        value = inner
    kept.append(top)
    return {"a": top}
def ask(body, kind="text/event-stream", status=200):
    def answer(connection, request):
        connection.sendall(head(f"{status} OK", kind, Content_Length=len(body)) + body)
    server = Server(answer)
    try:
        return Agent(Model.from_remote(server.url, "m", max_retries=0, api_key=None)).generate("hi")
    finally:
        server.close()
"""
CASES = {
    "a chunk": """
        each(lambda text: ask(b'data: {"x":' + text.encode() + b'}\\n\\n'))
    """,
    "an error in the stream": """
        each(lambda text: ask(b'data: {"error":' + text.encode() + b'}\\n\\n'))
    """,
    "a whole body": """
        each(lambda text: ask(b'{"x":' + text.encode() + b'}', "application/json"))
    """,
    "the body of an error": """
        each(lambda text: ask(b'{"error":' + text.encode() + b'}', "application/json", 400))
    """,
    "the arguments of a call": """
        def run(text):
            def pick(value: list) -> str: return "picked"
            model = FunctionModel(lambda request: tool_call("pick", '{"value":' + text + "}"))
            return Agent(model, tools=[pick], max_turns=2).generate("hi")
        each(run)
    """,
    "a typed result": """
        from typing import Any, List
        def run(text):
            return Agent(FunctionModel(lambda request: text)).generate("hi", output_type=List[Any])
        each(run)
        DEPTHS = (193, 1000, 3000)
        def run(text):
            return list(Agent(FunctionModel(lambda request: text)).stream_events("hi", output_type=List[Any]))[-1]
        each(run)
    """,
    "the files of the built-in tools": """
        def todo(text):
            with open("todo.json", "w") as file: file.write('{"version":1,"next_id":5,"todos":[' + text + "]}")
            agent.enable_builtin_todo("todo.json")
        def notes(text):
            with open("notes.json", "w") as file: file.write('{"version":1,"next_id":5,"notes":[' + text + "]}")
            agent.enable_builtin_notes("notes.json")
        agent = Agent(ScriptedModel(["a"]))
        each(todo)
        each(notes)
    """,
    "a history": """
        def call(arguments):
            return [{"role": "assistant", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}]}]
        agent = Agent(ScriptedModel(["a"]))
        each(lambda text: agent.set_history(call('{"a":' + text + "}")))
        each(lambda text: agent.set_history(call(deep(text))))
        each(lambda text: agent.set_history([{"role": "user", "content": deep(text)}]))
    """,
    "a schema": """
        def tool(**properties):
            return Tool(print, name="f", parameters={"properties": properties, "type": "object"})
        each(lambda text: tool(a=deep(text)))
        each(lambda text: tool(a={"items": deep(text)}))
        from pydantic_core import core_schema
        agent = Agent(ScriptedModel(["{}"]))
        def typed(text):
            class Deep:
                @classmethod
                def __get_pydantic_core_schema__(cls, source, handler): return core_schema.any_schema()
                @classmethod
                def __get_pydantic_json_schema__(cls, schema, handler): return {"items": deep(text)}
            agent.generate("a", output_type=Deep)
        each(typed)
    """,
    "extra_body": """
        each(lambda text: Model.from_remote("http://127.0.0.1:9/v1", "m", extra_body={"a": deep(text)}))
        circle = {}
        circle["a"] = circle
        show(Model.from_remote, "http://127.0.0.1:9/v1", "m", extra_body=circle)
    """,
}


@pytest.mark.parametrize("case", CASES)
def test_deep_json_is_a_typed_error(child, case, tmp_path):
    paths = [str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    program = BEGIN + textwrap.dedent(CASES[case])
    result = child(program, timeout=120, cwd=tmp_path, env=environment)
    assert result.returncode == 0, (result.stdout[-500:], result.stderr[-2000:])
    lines = [line for line in result.stdout.splitlines() if line.startswith("- ")]
    assert len(lines) >= 11
    wrong = [line for line in lines if not re.match(r"- (\w+Error)\b", line)]
    assert wrong == []


def test_nothing_else_parses_json():
    """The core has one reader, with the limits."""
    parse = re.compile(r"\b\w*[Jj]son::(?:parse|accept|sax_parse)\b|>>\s*json\b")
    found = {
        path.relative_to(ROOT / "csrc").as_posix()
        for path in (ROOT / "csrc").rglob("*")
        if path.suffix in (".cpp", ".h") and "llama.cpp" not in path.parts and parse.search(path.read_text("utf-8"))
    }
    # The prompt's arguments are of llama.cpp's own type; chat/template.cpp has checked how deeply they are nested.
    assert found == {"base/json.cpp", "chat/prompt_program.cpp"}
