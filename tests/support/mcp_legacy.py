"""An MCP server of the protocol of 2024, without the SDK: one tool at first, and one more after each call."""

import json
import sys

TOOLS = ["first"]


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def answer(method, params):
    if method == "initialize":
        info = {"name": "legacy", "version": "0"}
        return {"protocolVersion": "2024-11-05", "capabilities": {"tools": {"listChanged": True}}, "serverInfo": info}
    if method == "tools/list":  # a page for each tool
        page = int(params.get("cursor", 0))
        tool = {"name": TOOLS[page], "inputSchema": {"type": "object", "properties": {}}}
        return {"tools": [tool], **({"nextCursor": str(page + 1)} if page + 1 < len(TOOLS) else {})}
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
