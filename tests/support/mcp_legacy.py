"""An MCP server of the protocol of 2025, without the SDK: one tool at first, and one more after each call.

With the argument "asking" a call asks the user, and the client's model; with "greedy" the model twelve times.
"""

import json
import sys

TOOLS = ["first"]


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def ask(method, params):
    """Return the answer of the client to a request."""
    send({"id": method, "method": method, "params": params})
    while True:
        message = json.loads(sys.stdin.readline())
        if message.get("id") == method and "method" not in message:
            return message.get("result") or message["error"]["message"]


def answer(method, params):
    if method == "initialize":
        info = {"name": "legacy", "version": "0"}
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": True}}, "serverInfo": info}
    if method == "tools/list":  # a page for each tool
        page = int(params.get("cursor", 0))
        tool = {"name": TOOLS[page], "inputSchema": {"type": "object", "properties": {}}}
        return {"tools": [tool], **({"nextCursor": str(page + 1)} if page + 1 < len(TOOLS) else {})}
    if method == "tools/call" and "asking" in sys.argv:
        schema = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
        said = ask("elicitation/create", {"message": "How many?", "requestedSchema": schema})
        messages = [{"role": "user", "content": {"type": "text", "text": "Write."}}]
        wrote = ask("sampling/createMessage", {"messages": messages, "maxTokens": 9})
        return {"content": [{"type": "text", "text": json.dumps([said, wrote])}]}
    if method == "tools/call" and "greedy" in sys.argv:
        messages = [{"role": "user", "content": {"type": "text", "text": "More."}}]
        wrote = [ask("sampling/createMessage", {"messages": messages, "maxTokens": 9}) for _ in range(12)]
        return {"content": [{"type": "text", "text": json.dumps(wrote)}]}
    if method == "tools/call":
        TOOLS.append(f"more{len(TOOLS)}")
        send({"method": "notifications/tools/list_changed"})
        return {"content": [{"type": "text", "text": f"called {params['name']}"}]}
    return None


for line in sys.stdin:
    request = json.loads(line)
    if "id" in request:
        result = answer(request["method"], request.get("params") or {})
        if result is None:
            send({"id": request["id"], "error": {"code": -32601, "message": "Method not found"}})
        else:
            send({"id": request["id"], "result": result})
