"""Characters whose bytes a server cut across events are joined, or end in an error; nothing is lost silently."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.http_server import head, sending

from luup_agent import Agent, HTTPError, Model
from luup_agent._completions.sse import AnswerReader, Decoder


def delta(content, finish=b"null"):
    """Return a chunk with bytes that need not be whole characters."""
    return b'{"choices": [{"index": 0, "delta": {"content": "' + content + b'"}, "finish_reason": ' + finish + b"}]}"


def cut(data, places):
    """Return the pieces of bytes between places."""
    edges = [0, *sorted(places), len(data)]
    return [data[begin:end] for begin, end in zip(edges, edges[1:])]


def events(pieces):
    return b"".join(b"data: " + delta(piece) + b"\n\n" for piece in pieces) + b"data: [DONE]\n\n"


def lines(pieces):
    return b"".join(delta(piece) + b"\n" for piece in pieces)


def text_of(chunks):
    values = [json.loads(chunk) for chunk in chunks if chunk != "[DONE]"]
    return "".join(value["choices"][0]["delta"]["content"] for value in values)


letters = st.one_of(st.characters(min_codepoint=0x23, max_codepoint=0xD7FF), st.characters(min_codepoint=0xE000))
plain = st.text(letters, max_size=12)
plain = plain.filter(lambda text: "\\" not in text)


@given(plain, st.lists(st.integers(0, 48), max_size=8), st.integers(1, 50), st.sampled_from([events, lines]))
def test_any_cut_gives_the_same_text(text, places, step, form):
    data = text.encode("utf-8")
    body = form(cut(data, [min(place, len(data)) for place in places]))
    reader = AnswerReader("text/event-stream")
    chunks = []
    for begin in range(0, len(body), step):
        chunks += reader.feed(body[begin : begin + step])
    chunks += reader.finish()
    assert text_of(chunks) == text
    assert not reader.unreadable


@pytest.mark.parametrize(
    "pieces",
    [
        [b"\xf0\x9f", b" a"],
        [b"\xf0\x9f", b""],
        [b"\xf0\x9f", b"\x98\x80\x80"],
        [b"a\xf0\x9f\x98"],
        [b"\x98\x80"],
        [b"a", b"\xff"],
        [b"\xf0\x9f b", b"\x98\x80"],
        [b"\xed\xa0", b"\x80"],
        [b"\xc3", b"b\xa9"],
    ],
)
def test_what_can_not_be_joined_is_an_error(pieces):
    decoder = Decoder()
    with pytest.raises(HTTPError, match="not UTF-8"):
        [*decoder.feed(events(pieces)), decoder.finish()]


@pytest.mark.parametrize("between", [b": ping\n\n", b"data: " + delta(b"") + b"\n\n", b'data: {"choices": []}\n\n'])
def test_other_events_may_come_between(between):
    first, last = events([b"a\xf0\x9f\xa6"]).replace(b"data: [DONE]\n\n", b""), events([b"\x8ab"])
    chunks = [chunk for chunk in Decoder().feed(first + between + last) if '"delta"' in chunk]
    assert text_of(chunks) == "a🦊b"


def test_an_answer_that_ends_within_a_character():
    decoder = Decoder()
    with pytest.raises(HTTPError, match="not UTF-8"):
        list(decoder.feed(b"data: " + delta(b"\xf0\x9f") + b"\n\ndata: " + delta(b"", b'"stop"') + b"\n\n"))


def test_a_run_gets_the_whole_character(serve):
    body = events([b"A \xf0", b"\x9f", b"\xa6\x8a."]).replace(b"data: [DONE]", b"data: " + delta(b"", b'"stop"'))
    server = serve(sending(head(), body + b"data: [DONE]\n\n"))
    model = Model.from_remote(server.url, "m", max_retries=0, api_key=None)
    assert Agent(model).generate("Hi") == "A 🦊."
