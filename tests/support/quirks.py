"""How servers really write a chat completion: each quirk was reported of the server that it names.

`TEXTS` are ways to answer with a text, `CALLS` ways to call tools. An answer is the bytes of a whole HTTP response.
"""

import json
from typing import Callable, List, NamedTuple, Tuple

from support.http_server import data, delta, head


class TextQuirk(NamedTuple):
    """A way to answer with a text: `answer(text)` returns the response, whose reasoning is `reasoning`."""

    name: str
    answer: Callable[[str], bytes]
    reasoning: str = ""


class CallQuirk(NamedTuple):
    """A way to call tools: `answer` is the response, `calls` the calls that it means, `ids` those that it names."""

    name: str
    answer: bytes
    calls: List[Tuple[str, dict]]
    ids: Tuple[str, ...] = ()


def stream(*values, done=True, content_type="text/event-stream"):
    end = [b"data: [DONE]\n\n"] if done else []
    parts = [value if isinstance(value, bytes) else data(value) for value in values]
    return head(content_type=content_type) + b"".join([*parts, *end])


def body(value, content_type="application/json"):
    text = value if isinstance(value, (str, bytes)) else json.dumps(value)
    return head(content_type=content_type) + (text if isinstance(text, bytes) else text.encode())


def message(finish_reason="stop", **fields):
    choice = {"index": 0, "message": {"role": "assistant", **fields}, "finish_reason": finish_reason}
    return {"id": "x", "object": "chat.completion", "choices": [choice]}


def halves(text):
    middle = max(1, len(text) // 2)
    return text[:middle], text[middle:]


def framed(before=(), between=(), after=(), **options):
    """Return a way to answer with a stream that has other chunks around the text."""

    def answer(text):
        one, two = halves(text)
        return stream(*before, delta(content=one), *between, delta(content=two), delta("stop"), *after, **options)

    return answer


def ending(*reasons, **options):
    """Return a way to answer with a stream whose chunks have these finish reasons."""

    def answer(text):
        one, two = halves(text)
        first = delta(content=one) if len(reasons) < 3 else delta(reasons[2], content=one)
        second = delta(content=two) if len(reasons) < 2 else delta(reasons[1], content=two)
        return stream(first, second, *([delta(reasons[0])] if reasons else []), **options)

    return answer


def parts(text):
    return [{"type": "text", "text": text}]


def thoughts(text):
    return [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]


def single_newlines(text):
    one, two = halves(text)
    values = [delta(content=one), delta(content=two), delta("stop")]
    return head() + b"".join(b"data: " + json.dumps(value).encode() + b"\n" for value in values) + b"data: [DONE]\n"


def lines(content_type):
    def answer(text):
        one, two = halves(text)
        values = [delta(content=one), delta(content=two), delta("stop")]
        return body("".join(json.dumps(value) + "\n" for value in values), content_type)

    return answer


def own_lines_of_ollama(text):
    values = [{"message": {"role": "assistant", "content": piece}, "done": False} for piece in halves(text)]
    values.append({"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"})
    return body("".join(json.dumps(value) + "\n" for value in values), "application/x-ndjson")


def split_surrogates(text):
    r"""Send the text as \uXXXX escapes, one UTF-16 unit a chunk."""
    units = text.encode("utf-16-be")
    escapes = [f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)]
    chunks = [data(f'{{"choices": [{{"index": 0, "delta": {{"content": "{each}"}}}}]}}') for each in escapes]
    return stream(*chunks, delta("stop"))


def crlf(text):
    return head() + framed()(text).partition(b"\r\n\r\n")[2].replace(b"\n", b"\r\n")


def tight(text):
    return framed()(text).replace(b"data: ", b"data:")


PING = {"type": "ping"}
USAGE = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
LATE = {"id": "x", "object": "chat.completion.chunk", "service_tier": "default"}
LEGACY = [{"index": 0, "text": "", "finish_reason": "stop"}]

TEXTS = [
    TextQuirk("openai-plain", framed()),
    TextQuirk("openai-role-first", framed([delta(role="assistant", content="")])),
    TextQuirk("openai-role-null-content", framed([delta(role="assistant", content=None)])),
    TextQuirk("openai-usage-last", framed(after=[USAGE])),
    TextQuirk("openai-obfuscation-late", framed(after=[LATE])),
    TextQuirk("azure-prompt-filter-first", framed([{"id": "", "choices": [], "prompt_filter_results": [{}]}])),
    TextQuirk("azure-delta-null", framed([{"choices": [{"index": 0, "delta": None, "finish_reason": None}]}])),
    TextQuirk("azure-no-delta", framed(between=[{"choices": [{"index": 0, "finish_reason": None}]}])),
    TextQuirk("anthropic-ping-event", framed([b'event: ping\ndata: {"type": "ping"}\n\n'], [PING])),
    TextQuirk("gateway-empty-object", framed([{}], [{}], [{}])),
    TextQuirk("gateway-null", framed([b"data: null\n\n"], [b"data: null\n\n"])),
    TextQuirk("gateway-empty-data", framed([b"data: \n\n"], [b"data:\n\n"])),
    TextQuirk("gateway-choices-null", framed([{"id": "x", "choices": None}], [{"choices": None, "usage": None}])),
    TextQuirk("openrouter-comments", framed([b": OPENROUTER PROCESSING\n\n"], [b": OPENROUTER PROCESSING\n\n"])),
    TextQuirk("proxy-retry-and-id-fields", framed([b"retry: 3000\nid: 7\n\n"])),
    TextQuirk("proxy-named-events", framed([b"event: message\n"])),
    TextQuirk("proxy-crlf", crlf),
    TextQuirk(
        "proxy-byte-order-mark", lambda text: head() + b"\xef\xbb\xbf" + framed()(text).partition(b"\r\n\r\n")[2]
    ),
    TextQuirk("server-no-space", tight),
    TextQuirk("server-single-newlines", single_newlines),
    TextQuirk("server-no-end-marker", framed(done=False)),
    TextQuirk(
        "server-chunks-after-the-end", framed(after=[b"data: [DONE]\n\n", delta(content="more"), b"data: junk\n\n"])
    ),
    TextQuirk("server-garbage-after-the-end", framed(after=[b"data: junk\n\n"])),
    TextQuirk("server-error-after-the-end", framed(after=[{"error": {"message": "late"}}])),
    TextQuirk("finish-empty-always", lambda text: ending("", "", "")(text)),
    TextQuirk("finish-null-always", ending()),
    TextQuirk("finish-early", ending("stop", "stop", "stop")),
    TextQuirk("finish-upper", ending("STOP")),
    TextQuirk("finish-eos", ending("eos")),
    TextQuirk("finish-end-turn", ending("end_turn")),
    TextQuirk("finish-stop-sequence", ending("stop_sequence")),
    TextQuirk("finish-enum", ending("FinishReason.STOP")),
    TextQuirk("label-json", framed(content_type="application/json")),
    TextQuirk("label-html", framed(content_type="text/html; charset=utf-8")),
    TextQuirk("label-plain", framed(content_type="text/plain")),
    TextQuirk("label-none", framed(content_type="")),
    TextQuirk("ndjson", lines("application/x-ndjson")),
    TextQuirk("ndjson-label-json", lines("application/json")),
    TextQuirk("ndjson-label-events", lines("text/event-stream")),
    TextQuirk("ollama-own-lines", own_lines_of_ollama),
    TextQuirk("whole", lambda text: body(message(content=text))),
    TextQuirk("whole-finish-null", lambda text: body(message(None, content=text))),
    TextQuirk("whole-label-events", lambda text: body(message(content=text), "text/event-stream")),
    TextQuirk("whole-label-html", lambda text: body(message(content=text), "text/html")),
    TextQuirk("whole-pretty", lambda text: body(json.dumps(message(content=text), indent=2), "text/event-stream")),
    TextQuirk("whole-in-an-event", lambda text: stream(message(content=text))),
    TextQuirk("whole-repeated-at-the-end", lambda text: stream(delta(content=text), message(content=text))),
    TextQuirk("whole-parts", lambda text: body(message(content=parts(text)))),
    TextQuirk("whole-part-alone", lambda text: body(message(content={"type": "text", "text": text}))),
    TextQuirk("whole-output-text", lambda text: body(message(content=[{"type": "output_text", "text": text}]))),
    TextQuirk("whole-thinking-parts", lambda text: body(message(content=thoughts("Hm.") + parts(text))), "Hm."),
    TextQuirk("parts", lambda text: stream(*(delta(content=parts(each)) for each in halves(text)), delta("stop"))),
    TextQuirk("parts-bare", lambda text: stream(delta(content=[*halves(text)]), delta("stop"))),
    TextQuirk(
        "mistral-thinking-parts",
        lambda text: stream(delta(content=thoughts("Hm.")), delta(content=parts(text)), delta("stop", content="")),
        "Hm.",
    ),
    TextQuirk("legacy-text", lambda text: body({"choices": [{**LEGACY[0], "text": text}]})),
    TextQuirk("legacy-text-streamed", lambda text: stream({"choices": [{"text": text}]}, {"choices": LEGACY})),
    TextQuirk("choices-object", lambda text: stream({"choices": delta(content=text)["choices"][0]}, delta("stop"))),
    TextQuirk("surrogates-split", split_surrogates),
    TextQuirk("reasoning", lambda text: stream(delta(reasoning="Hm."), delta(content=text), delta("stop")), "Hm."),
    TextQuirk(
        "reasoning-content", lambda text: stream(delta(reasoning_content="Hm."), delta("stop", content=text)), "Hm."
    ),
    TextQuirk(
        "reasoning-both",
        lambda text: stream(delta(reasoning="Hm.", reasoning_content="Hm."), delta("stop", content=text)),
        "Hm.",
    ),
    TextQuirk(
        "think-whole", lambda text: stream(delta(content=f"<think>\nHm.\n</think>\n\n{text}"), delta("stop")), "Hm."
    ),
    TextQuirk(
        "think-in-pieces",
        lambda text: stream(*(delta(content=each) for each in f"<think>\nHm.\n</think>\n\n{text}"), delta("stop")),
        "Hm.",
    ),
    TextQuirk(
        "think-empty", lambda text: stream(delta(content="<think>\n\n</think>\n\n"), delta("stop", content=text))
    ),
    TextQuirk("think-not-opened", lambda text: body(message(content=f"Hm.\n</think>\n\n{text}")), "Hm."),
    TextQuirk("think-magistral", lambda text: stream(delta(content=f"[THINK]Hm.[/THINK]{text}"), delta("stop")), "Hm."),
]


def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


def now() -> str:
    """Return the time."""
    return "12:00"


def tool_calls(*calls):
    return delta(tool_calls=list(calls))


def call(index=0, id="c1", name="weather", arguments="{}"):  # noqa: A002  # its name in the API
    """Return a fragment of a call; ``...`` leaves a field out."""
    fields = {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    fields["function"] = {key: value for key, value in fields["function"].items() if value is not ...}
    return {key: value for key, value in fields.items() if value is not ...}


def calling(*chunks, finish_reason="tool_calls"):
    return stream(*chunks, delta(finish_reason))


OSLO, ROME = '{"city": "Oslo"}', '{"city": "Rome"}'
ONE = [("weather", {"city": "Oslo"})]
TWO = [*ONE, ("weather", {"city": "Rome"})]
OTHER = [*ONE, ("now", {})]
NOW = [("now", {})]

CALLS = [
    CallQuirk(
        "openai",
        calling(tool_calls(call(0, "a", arguments="")), tool_calls({"index": 0, "function": {"arguments": OSLO}})),
        ONE,
        ("a",),
    ),
    CallQuirk(
        "openai-parallel",
        calling(tool_calls(call(0, "a", arguments=OSLO)), tool_calls(call(1, "b", arguments=ROME))),
        TWO,
        ("a", "b"),
    ),
    CallQuirk(
        "long-id",
        calling(tool_calls(call(0, "toolu_01A09q90qw90lq917835lq9", arguments=OSLO))),
        ONE,
        ("toolu_01A09q90qw90lq917835lq9",),
    ),
    CallQuirk(
        "kimi-id", calling(tool_calls(call(0, "functions.weather:0", arguments=OSLO))), ONE, ("functions.weather:0",)
    ),
    CallQuirk(
        "gemini-all-at-0",
        calling(tool_calls(call(0, "a", arguments=OSLO)), tool_calls(call(0, "b", arguments=ROME))),
        TWO,
        ("a", "b"),
    ),
    CallQuirk(
        "gemini-all-at-0-one-chunk",
        calling(tool_calls(call(0, "a", arguments=OSLO), call(0, "b", arguments=ROME))),
        TWO,
        ("a", "b"),
    ),
    CallQuirk(
        "gemini-other-name-at-0",
        calling(tool_calls(call(0, "a", arguments=OSLO), call(0, "b", "now"))),
        OTHER,
        ("a", "b"),
    ),
    CallQuirk(
        "gemini-no-ids-at-0",
        calling(tool_calls(call(0, "", arguments=OSLO)), tool_calls(call(0, "", arguments=ROME))),
        TWO,
    ),
    CallQuirk(
        "gemini-other-name-no-ids-at-0",
        calling(tool_calls(call(0, ..., arguments=OSLO)), tool_calls(call(0, ..., "now", ""))),
        OTHER,
    ),
    CallQuirk(
        "index-null",
        calling(tool_calls(call(None, "a", arguments=OSLO), call(None, "b", arguments=ROME))),
        TWO,
        ("a", "b"),
    ),
    CallQuirk(
        "index-missing",
        calling(tool_calls(call(..., "a", arguments=OSLO), call(..., "b", arguments=ROME))),
        TWO,
        ("a", "b"),
    ),
    CallQuirk(
        "index-missing-two-chunks",
        calling(tool_calls(call(..., "a", arguments=OSLO)), tool_calls(call(..., "b", arguments=ROME))),
        TWO,
        ("a", "b"),
    ),
    CallQuirk(
        "index-and-ids-missing",
        calling(tool_calls(call(..., ..., arguments=OSLO), call(..., ..., arguments=ROME))),
        TWO,
    ),
    CallQuirk(
        "index-and-ids-missing-two-chunks",
        calling(tool_calls(call(..., ..., arguments=OSLO)), tool_calls(call(..., ..., arguments=ROME))),
        TWO,
    ),
    CallQuirk(
        "index-missing-pieces",
        calling(
            tool_calls(call(..., "a", arguments='{"ci')),
            tool_calls(call(..., ..., ..., 'ty": "Oslo"}')),
            tool_calls(call(..., "b", arguments=ROME)),
        ),
        TWO,
        ("a", "b"),
    ),
    CallQuirk(
        "index-text",
        calling(tool_calls(call("0", "a", arguments=OSLO)), tool_calls(call("1", "b", arguments=ROME))),
        TWO,
        ("a", "b"),
    ),
    CallQuirk(
        "index-from-1",
        calling(tool_calls(call(1, "a", arguments=OSLO)), tool_calls(call(2, "b", arguments=ROME))),
        TWO,
        ("a", "b"),
    ),
    CallQuirk(
        "ids-equal", calling(tool_calls(call(0, "a", arguments=OSLO)), tool_calls(call(1, "a", arguments=ROME))), TWO
    ),
    CallQuirk(
        "ids-empty", calling(tool_calls(call(0, "", arguments=OSLO)), tool_calls(call(1, "", arguments=ROME))), TWO
    ),
    CallQuirk(
        "ids-null", calling(tool_calls(call(0, None, arguments=OSLO)), tool_calls(call(1, None, arguments=ROME))), TWO
    ),
    CallQuirk("same-call-twice-no-ids", calling(tool_calls(call(0, ..., "now"), call(0, ..., "now"))), [*NOW, *NOW]),
    CallQuirk(
        "call-repeated",
        calling(tool_calls(call(0, "a", arguments=OSLO)), tool_calls(call(0, "a", arguments=OSLO))),
        ONE,
        ("a",),
    ),
    CallQuirk(
        "name-repeated",
        calling(
            tool_calls(call(0, "a", arguments='{"ci')),
            tool_calls(call(0, None, "weather", 'ty": "Os')),
            tool_calls(call(0, None, "weather", 'lo"}')),
        ),
        ONE,
        ("a",),
    ),
    CallQuirk(
        "name-and-id-repeated",
        calling(
            tool_calls(call(0, "a", arguments='{"ci')),
            tool_calls(call(0, "a", "weather", 'ty": "Os')),
            tool_calls(call(0, "a", "weather", 'lo"}')),
        ),
        ONE,
        ("a",),
    ),
    CallQuirk(
        "id-of-every-piece",
        calling(
            tool_calls(call(0, "a", arguments='{"ci')),
            tool_calls(call(0, "b", None, 'ty": "Os')),
            tool_calls(call(0, "c", None, 'lo"}')),
        ),
        ONE,
        ("a",),
    ),
    CallQuirk(
        "id-and-name-of-every-piece",
        calling(tool_calls(call(0, "a", arguments='{"ci')), tool_calls(call(0, "b", "weather", 'ty": "Oslo"}'))),
        ONE,
        ("a",),
    ),
    CallQuirk(
        "name-split",
        calling(
            tool_calls(call(0, "a", "wea", "")),
            tool_calls(call(0, ..., "ther", "")),
            tool_calls(call(0, ..., ..., OSLO)),
        ),
        ONE,
        ("a",),
    ),
    CallQuirk(
        "name-cumulative",
        calling(tool_calls(call(0, "a", "wea", "")), tool_calls(call(0, "a", "weather", OSLO))),
        ONE,
        ("a",),
    ),
    CallQuirk(
        "function-null-later",
        calling(
            tool_calls(call(0, "a", arguments=OSLO)),
            tool_calls({"index": 0, "id": None, "type": None, "function": None}),
        ),
        ONE,
        ("a",),
    ),
    CallQuirk(
        "function-missing-later",
        calling(tool_calls(call(0, "a", arguments=OSLO)), tool_calls({"index": 0, "id": "a"})),
        ONE,
        ("a",),
    ),
    CallQuirk(
        "interleaved",
        calling(
            tool_calls(call(0, "a", arguments='{"city":'), call(1, "b", arguments='{"ci')),
            tool_calls(call(1, ..., ..., 'ty":')),
            tool_calls(call(0, ..., ..., '"Oslo"}')),
            tool_calls(call(1, ..., ..., '"Rome"}')),
        ),
        TWO,
        ("a", "b"),
    ),
    CallQuirk("arguments-object", calling(tool_calls(call(0, "a", arguments={"city": "Oslo"}))), ONE, ("a",)),
    CallQuirk("arguments-null", calling(tool_calls(call(0, "a", "now", None))), NOW, ("a",)),
    CallQuirk("arguments-empty", calling(tool_calls(call(0, "a", "now", ""))), NOW, ("a",)),
    CallQuirk("arguments-missing", calling(tool_calls(call(0, "a", "now", ...))), NOW, ("a",)),
    CallQuirk("arguments-space", calling(tool_calls(call(0, "a", "now", " "))), NOW, ("a",)),
    CallQuirk("arguments-null-text", calling(tool_calls(call(0, "a", "now", "null"))), NOW, ("a",)),
    CallQuirk("arguments-encoded-twice", calling(tool_calls(call(0, "a", arguments=json.dumps(OSLO)))), ONE, ("a",)),
    CallQuirk(
        "arguments-empty-object-first",
        calling(tool_calls(call(0, "a")), tool_calls(call(0, ..., ..., OSLO))),
        ONE,
        ("a",),
    ),
    CallQuirk(
        "arguments-cumulative",
        calling(tool_calls(call(0, "a", arguments='{"city":')), tool_calls(call(0, "a", arguments=OSLO))),
        ONE,
        ("a",),
    ),
    CallQuirk(
        "arguments-nested-in-pieces",
        calling(
            tool_calls(call(0, "a", "weather", '{"city":')),
            tool_calls(call(0, ..., ..., ' "Os')),
            tool_calls(call(0, ..., ..., 'lo"}')),
        ),
        ONE,
        ("a",),
    ),
    CallQuirk("finish-stop", calling(tool_calls(call(0, "a", arguments=OSLO)), finish_reason="stop"), ONE, ("a",)),
    CallQuirk(
        "finish-function-call",
        calling(tool_calls(call(0, "a", arguments=OSLO)), finish_reason="function_call"),
        ONE,
        ("a",),
    ),
    CallQuirk(
        "finish-tool-use", calling(tool_calls(call(0, "a", arguments=OSLO)), finish_reason="tool_use"), ONE, ("a",)
    ),
    CallQuirk(
        "finish-upper", calling(tool_calls(call(0, "a", arguments=OSLO)), finish_reason="TOOL_CALLS"), ONE, ("a",)
    ),
    CallQuirk("finish-null", stream(tool_calls(call(0, "a", arguments=OSLO))), ONE, ("a",)),
    CallQuirk("calls-object", stream(delta(tool_calls=call(0, "a", arguments=OSLO)), delta("tool_calls")), ONE, ("a",)),
    CallQuirk(
        "whole",
        body(
            message(
                "tool_calls", content=None, tool_calls=[call(..., "a", arguments=OSLO), call(..., "b", arguments=ROME)]
            )
        ),
        TWO,
        ("a", "b"),
    ),
    CallQuirk(
        "whole-same-call-twice",
        body(message("tool_calls", content="", tool_calls=[call(..., "", "now"), call(..., "", "now")])),
        [*NOW, *NOW],
    ),
    CallQuirk(
        "whole-in-an-event", stream(message("tool_calls", tool_calls=[call(0, "a", arguments=OSLO)])), ONE, ("a",)
    ),
    CallQuirk(
        "function-call",
        body(message("function_call", content=None, function_call={"name": "weather", "arguments": OSLO})),
        ONE,
    ),
    CallQuirk(
        "function-call-streamed",
        stream(
            delta(function_call={"name": "weather", "arguments": ""}),
            delta(function_call={"arguments": OSLO}),
            delta("function_call"),
        ),
        ONE,
    ),
]
