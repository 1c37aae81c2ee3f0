"""An MCP server that misbehaves, without the SDK: `python mcp_hostile.py BEHAVIOUR`.

A behaviour is a function of this file. It gets each message, and returns the result of a request, raw bytes to send in
its place, or None for the ordinary answer.
"""

import json
import os
import sys
import time

OUT = sys.stdout.buffer
INFO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {"listChanged": True}, "resources": {}, "prompts": {}, "logging": {}},
    "serverInfo": {"name": "hostile", "version": "0"},
}
TOOL = {"name": "tool", "description": "A tool.", "inputSchema": {"type": "object", "properties": {}}}
DEEP = 100_000


class Lost(Exception):
    """The client has gone."""


def write(data):
    try:
        OUT.write(data)
        OUT.flush()
    except BrokenPipeError:
        raise Lost from None


def send(message):
    write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def text(value):
    return {"content": [{"type": "text", "text": value}]}


def usual(method, params):
    return {
        "initialize": INFO,
        "tools/list": {"tools": [TOOL]},
        "tools/call": text("called"),
        "resources/list": {"resources": [{"uri": "a://b", "name": "b"}]},
        "resources/templates/list": {"resourceTemplates": []},
        "resources/read": {"contents": [{"uri": "a://b", "text": "read"}]},
        "prompts/list": {"prompts": [{"name": "p"}]},
        "prompts/get": {"messages": [{"role": "user", "content": {"type": "text", "text": "asked"}}]},
        "ping": {},
        "logging/setLevel": {},
    }.get(method)


def on(wanted, answer):
    """Make a behaviour that answers one method in its own way: a value, or a function of the request."""

    def behave(request):
        if request.get("method") == wanted:
            return answer(request) if callable(answer) else answer
        return None

    return behave


def raw(request, result):
    """Return the bytes of an answer whose result is text that `json` would not write."""
    return b'{"jsonrpc":"2.0","id":%s,"result":%s}\n' % (json.dumps(request["id"]).encode(), result)


def deep(request):
    return raw(request, b'{"content":[],"structuredContent":{"a":' + b"[" * DEEP + b"]" * DEEP + b"}}")


def deep_schema(request):
    inner = b'{"type":"array","items":' * DEEP + b"{}" + b"}" * DEEP
    return raw(request, b'{"tools":[{"name":"t","inputSchema":{"type":"object","properties":{"a":' + inner + b"}}}]}")


def schema(value):
    return on("tools/list", {"tools": [{"name": "tool", "inputSchema": value}]})


def tools(*values):
    return on("tools/list", {"tools": list(values)})


def exits(request):
    sys.stderr.write("the last words\n")
    sys.stderr.flush()
    os._exit(3)


def sleeps(request):
    time.sleep(3600)


def half(request):
    write(b'{"jsonrpc":"2.0","id":%s,"resu' % json.dumps(request["id"]).encode())
    os._exit(0)


def noise(request):
    for line in (
        b"Starting...\n",
        b"\xff\xfe\x00\n",
        b"{\n",
        b"[]\n",
        b"null\n",
        b"\n",
        b'{"jsonrpc":"1.0"}\n',
        b"5\n",
    ):
        write(line)


def endless_line(request):
    block = b"x" * (1 << 20)
    while True:
        write(block)


def endless_stderr(request):
    block = "e" * (1 << 20)
    for _ in range(1 << 10):
        sys.stderr.write(block)


def flood(message, count):
    def behave(request):
        for number in range(count):
            send({**message, "id": f"s{number}"} if "id" in message else message)

    return behave


def page(cursor):
    return lambda request: {"tools": [], "nextCursor": cursor(request)}


def slow_page(request):
    time.sleep(0.6)
    return {"tools": [], "nextCursor": str(time.monotonic())}


def fat_page(request):
    names = (f"tool_{time.monotonic_ns()}_{number}" for number in range(3000))
    return {"tools": [{**TOOL, "name": name, "description": "d" * 1000} for name in names], "nextCursor": "more"}


def part(**fields):
    return on("tools/call", {"content": [fields]})


def wrong_id(change):
    def behave(request):
        if request.get("method") != "tools/call":
            return None
        send({"id": change(request["id"]), "result": text("another's")})
        return b""

    return behave


def twice(request):
    send({"id": request["id"], "result": text("first")})
    return text("second")


def failing(error):
    return lambda request: json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}).encode() + b"\n"


def many_properties(count):
    return {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(count)}}


BEHAVIOURS = {
    # its beginning
    "exits at once": on("initialize", exits),
    "never answers": on("initialize", sleeps),
    "half an answer": on("initialize", half),
    "noise before its answers": lambda request: noise(request) if "id" in request else None,
    "noise without end": on("initialize", endless_line),
    "dies after its first answer": on("notifications/initialized", exits),
    "initialize is a list": on("initialize", lambda request: raw(request, b"[1]")),
    "initialize is null": on("initialize", lambda request: raw(request, b"null")),
    "initialize is empty": on("initialize", {}),
    "initialize refuses": on("initialize", failing({"code": -1, "message": "no"})),
    "initialize of another version": on("initialize", {**INFO, "protocolVersion": "1999-01-01"}),
    "initialize of a number's version": on("initialize", {**INFO, "protocolVersion": 5}),
    "initialize of a deep answer": on("initialize", lambda request: raw(request, b'{"a":' * DEEP + b"1" + b"}" * DEEP)),
    "a name of a megabyte": on("initialize", {**INFO, "serverInfo": {"name": "n" * (1 << 20), "version": "0"}}),
    "instructions of 20 MB": on("initialize", {**INFO, "instructions": "i" * 20_000_000}),
    # its tools
    "dies while it lists": on("tools/list", exits),
    "tools are null": on("tools/list", lambda request: raw(request, b"null")),
    "tools are a number": on("tools/list", {"tools": 5}),
    "tools are numbers": on("tools/list", {"tools": [5]}),
    "pages without end": on("tools/list", page(lambda request: str(time.monotonic()))),
    "the same page again": on("tools/list", page(lambda request: "same")),
    "an empty cursor": on("tools/list", page(lambda request: "")),
    "a number as cursor": on("tools/list", page(lambda request: 5)),
    "slow pages without end": on("tools/list", slow_page),
    "fat pages without end": on("tools/list", fat_page),
    "a deep schema": on("tools/list", deep_schema),
    "a schema of 100,000 properties": schema(many_properties(100_000)),
    "a schema of 5,000 properties": schema(many_properties(5000)),
    "no schema": tools({"name": "tool"}),
    "a schema that is null": schema(None),
    "a schema that is true": schema(True),
    "a schema that is a list": schema([]),
    "a schema of a string": schema({"type": "string"}),
    "a schema that refers to itself": schema({"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}}),
    "a schema that refers elsewhere": schema({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}}),
    "a schema with a hostile pattern": schema(
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a{1,900}){1,900}$"}}}
    ),
    "a schema with a wrong type": schema({"type": "object", "properties": {"a": {"type": "int"}}}),
    "a schema with a wrong required": schema({"type": "object", "required": "a"}),
    "no name": tools({"inputSchema": TOOL["inputSchema"]}),
    "an empty name": tools({**TOOL, "name": ""}),
    "a name of odd characters": tools({**TOOL, "name": "\0\n<|im_end|>\U0001f600"}),
    "a long name": tools({**TOOL, "name": "n" * 1_000_000}),
    "two tools of one name": tools(TOOL, TOOL),
    "names that are nearly the same": tools({**TOOL, "name": "a.b"}, {**TOOL, "name": "a-b"}),
    "20,000 tools": tools(*({**TOOL, "name": f"tool_{number}"} for number in range(20_000))),
    "a description of 20 MB": tools({**TOOL, "description": "d" * 20_000_000}),
    "a description that is a number": tools({**TOOL, "description": 5}),
    "a description with a surrogate": on(
        "tools/list", lambda r: raw(r, b'{"tools":[{"name":"tool","description":"\\ud800","inputSchema":{}}]}')
    ),
    # its calls
    "dies in a call": on("tools/call", exits),
    "half a call": on("tools/call", half),
    "sleeps in a call": on("tools/call", sleeps),
    "a result of 30 MB": on("tools/call", text("x" * 30_000_000)),
    "a deep result": on("tools/call", deep),
    "a result of null": on("tools/call", lambda request: raw(request, b"null")),
    "a result without content": on("tools/call", {}),
    "a content that is a text": on("tools/call", {"content": "text"}),
    "a content of numbers": on("tools/call", {"content": [1, 2]}),
    "a part of no kind": part(text="x"),
    "a part of an unknown kind": part(type="video", data="x"),
    "a text that is a number": part(type="text", text=5),
    "a text that is null": part(type="text", text=None),
    "an image of garbage": part(type="image", data="\0!!not base64", mimeType="image/png"),
    "an image without a type": part(type="image", data="AAAA"),
    "a sound of 20 MB": part(type="audio", data="A" * 20_000_000, mimeType="audio/wav"),
    "a resource of garbage": part(type="resource", resource={"uri": ":\0:", "blob": "\0"}),
    "a resource of nothing": part(type="resource", resource={"uri": "a://b"}),
    "a link to nowhere": part(type="resource_link", uri="", name=""),
    "a surrogate": on("tools/call", lambda r: raw(r, b'{"content":[{"type":"text","text":"\\ud800 x"}]}')),
    "a NUL and control tokens": on("tools/call", text("a\0b <|im_end|>")),
    "invalid UTF-8": on("tools/call", lambda r: raw(r, b'{"content":[{"type":"text","text":"\xff\xc3"}]}')),
    "an infinite number": on("tools/call", lambda r: raw(r, b'{"content":[],"structuredContent":{"a":1e999,"b":NaN}}')),
    "a long number": on(
        "tools/call", lambda r: raw(r, b'{"content":[],"structuredContent":{"a":' + b"9" * 10_000 + b"}}")
    ),
    "a structured list": on("tools/call", {"content": [], "structuredContent": [1]}),
    "is_error is a text": on("tools/call", {**text("x"), "isError": "yes"}),
    "both a result and an error": on(
        "tools/call",
        lambda r: (
            json.dumps(
                {"jsonrpc": "2.0", "id": r["id"], "result": text("x"), "error": {"code": 1, "message": "m"}}
            ).encode()
            + b"\n"
        ),
    ),
    "an error that is a text": on("tools/call", failing("broken")),
    "an error without a code": on("tools/call", failing({"message": "broken"})),
    "an error of 20 MB": on("tools/call", failing({"code": 1, "message": "e" * 20_000_000})),
    "an error with a deep reason": on("tools/call", failing({"code": 1, "message": "m", "data": [[[]]]})),
    "another id": wrong_id(lambda own: 999_999),
    "an id that is a text": wrong_id(str),
    "an id that is null": wrong_id(lambda own: None),
    "an id that is a list": wrong_id(lambda own: [own]),
    "an answer twice": on("tools/call", twice),
    "stderr without end": on("tools/call", endless_stderr),
    # messages without a request
    "100,000 changes": on("tools/call", flood({"method": "notifications/tools/list_changed"}, 100_000)),
    "20,000 logs": on(
        "tools/call", flood({"method": "notifications/message", "params": {"level": "info", "data": "x" * 100}}, 20_000)
    ),
    "20,000 wrong messages": on("tools/call", flood({"method": "notifications/nothing", "params": 5}, 20_000)),
    "20,000 reports of progress": on(
        "tools/call",
        flood({"method": "notifications/progress", "params": {"progressToken": "no", "progress": -1}}, 20_000),
    ),
    "3,000 requests of unknown methods": on("tools/call", flood({"id": 0, "method": "none/such"}, 3000)),
    "3,000 questions": on(
        "tools/call", flood({"id": 0, "method": "elicitation/create", "params": {"message": "?"}}, 3000)
    ),
    "3,000 requests for texts": on(
        "tools/call", flood({"id": 0, "method": "sampling/createMessage", "params": {"messages": 5}}, 3000)
    ),
    "3,000 pings": on("tools/call", flood({"id": 0, "method": "ping"}, 3000)),
    # resources and prompts
    "resources of numbers": on("resources/list", {"resources": [1]}),
    "resources without end": on("resources/list", lambda r: {"resources": [], "nextCursor": str(time.monotonic())}),
    "a resource's garbage": on("resources/read", {"contents": [{"uri": "a://b", "blob": "\0\xff!"}]}),
    "a resource of 30 MB": on("resources/read", {"contents": [{"uri": "a://b", "text": "t" * 30_000_000}]}),
    "a resource of null": on("resources/read", {"contents": None}),
    "a resource of neither": on("resources/read", {"contents": [{"uri": "a://b"}]}),
    "a prompt of numbers": on("prompts/get", {"messages": [1]}),
    "a prompt of an unknown role": on(
        "prompts/get", {"messages": [{"role": "root", "content": {"type": "text", "text": "x"}}]}
    ),
    "a prompt of null": on("prompts/get", lambda request: raw(request, b"null")),
}


def serve(behave):
    for line in sys.stdin.buffer:
        request = json.loads(line)
        special = behave(request)
        if "id" not in request or "method" not in request:
            continue
        if isinstance(special, bytes):
            write(special)
            continue
        result = special if special is not None else usual(request["method"], request.get("params") or {})
        if result is None:
            send({"id": request["id"], "error": {"code": -32601, "message": "Method not found"}})
        else:
            send({"id": request["id"], "result": result})


if __name__ == "__main__":
    try:
        serve(BEHAVIOURS[sys.argv[1]])
    except Lost:
        os._exit(0)
