"""Server-sent events, however the bytes are cut."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luup_agent import HTTPError
from luup_agent._completions.request import read_retry_after
from luup_agent._completions.sse import Body, Decoder

STREAM = (
    '\ufeff: a comment\n\ndata: {"a": "Grüße 🦊"}\n\n'
    "event: x\nid: 1\ndata:one\ndata: two\n\nretry: 5\n\ndata\n\ndata: [DONE]\n\n"
)
EVENTS = ['{"a": "Grüße 🦊"}', "one\ntwo", "", "[DONE]"]


def decode(*pieces, **options):
    decoder = Decoder(**options)
    return [event for piece in pieces for event in decoder.feed(piece)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_cut_gives_the_same_events(end):
    stream = STREAM.replace("\n", end).encode()
    assert decode(stream) == EVENTS
    assert decode(*(bytes([byte]) for byte in stream)) == EVENTS
    for cut in range(len(stream)):
        assert decode(stream[:cut], stream[cut:]) == EVENTS


@given(st.lists(st.integers(0, 200)), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_cuts_give_the_same_events(cuts, end):
    stream = STREAM.replace("\n", end).encode()
    places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    assert decode(*(stream[a:b] for a, b in zip(places, places[1:]))) == EVENTS


def test_what_has_no_end_is_told_apart():
    decoder = Decoder()
    assert list(decoder.feed(b"data: [DONE]")) == []
    assert decoder.finish() == "[DONE]"
    assert Decoder().finish() is None


def test_lines_and_events_are_bounded():
    with pytest.raises(HTTPError, match="more than 100 bytes"):
        decode(b"data: " + b"x" * 100, limit=100)
    with pytest.raises(HTTPError, match="more than 100 bytes"):
        decode(*[b"data: xxxxxxxxxx\n"] * 20, limit=100)
    assert len(decode(*[b"data: xxxxxxxxxx\n\n"] * 20, limit=100)) == 20


def test_compressed_bodies_are_bounded():
    body = Body("gzip", limit=1000)
    packer = zlib.compressobj(wbits=31)
    bomb = packer.compress(bytes(10**7)) + packer.flush()
    with pytest.raises(HTTPError, match="longer than 1000 bytes"):
        list(body.feed(bomb))
    pieces = [len(piece) for piece in Body("deflate").feed(zlib.compress(bytes(10**6)))]
    assert sum(pieces) == 10**6
    assert max(pieces) <= 1 << 16
    assert b"".join(Body("").feed(b"abc")) == b"abc"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5),
        (" 0 ", 0),
        ("2.5", 2.5),
        ("1e9", 1e9),
        ("inf", float("inf")),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("-5", None),
        ("nan", None),
        ("", None),
        ("soon", None),
        ("Thu, 99 Foo 1970", None),
        (None, None),
        ("9" * 400, 1e100),  # only the first hundred digits are looked at
    ],
)
def test_retry_after_in_all_its_forms(value, seconds):
    assert read_retry_after(value, now=10.0) == seconds
