"""Pictures and sounds from strangers: FIFOs and devices, addresses that lead nowhere, headers that lie."""

import ipaddress
import re
import struct
import sys

import pytest
from support.tried import try_cases

from luup_agent import _fetching

PRELUDE = """
import os, socket, struct, tempfile, threading
from support import pictures
from luup_agent import Agent, Audio, Image, Message
from luup_agent.testing import ScriptedModel

folder = tempfile.mkdtemp()
fifo = os.path.join(folder, "fifo")
if hasattr(os, "mkfifo"):
    os.mkfifo(fifo)
released = memoryview(pictures.png())
released.release()


class Path:
    def __init__(self, value):
        self.value = value

    def __fspath__(self):
        return self.value


def answered(reply):
    "The address of a server that sends these bytes to each client."
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()

    def serve():
        while True:
            connection = listener.accept()[0]
            with connection:
                connection.recv(65536)
                connection.sendall(reply)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/cat.png"


def fetched(reply):
    return Image.from_url(answered(b"HTTP/1.1 " + reply), allow_private=True)


def with_environment(name, value):
    os.environ[name] = value
    try:
        return Image.from_url("http://127.0.0.1:9/", allow_private=True)
    finally:
        del os.environ[name]


def read(*values):
    return Message.from_dict("m", {"role": "user", "content": list(values)})
"""

FILES = {
    "Image(fifo)": "InvalidParamError .*not a regular file; give its bytes",
    "Audio(fifo)": "InvalidParamError .*not a regular file; give its bytes",
    "Image('/dev/zero')": "InvalidParamError .*not a regular file",
    "Image('/dev/null')": "InvalidParamError .*not a regular file",
    "Image(folder)": "raised IsADirectoryError",
    "Image('a\\0b')": "InvalidParamError .*is not a path",
    "Image('\\ud800')": "InvalidParamError .*is not a path",
    "Image('')": "raised FileNotFoundError",
    "Image('x' * 100000)": "raised OSError",
    "Image(Path(b'/nowhere'))": "raised FileNotFoundError",
    "Image(Path(3))": "InvalidParamError .*is not a path",
    "Image(released)": "InvalidParamError .*can't be read: .*released",
    "Image(memoryview(bytes(x for b in pictures.png() for x in (b, 0)))[::2]).format": "ok 'png'",
    "Image(None)": "InvalidParamError Image takes a path or bytes, not NoneType",
    "Image(True)": "InvalidParamError Image takes a path or bytes, not bool",
    "Image('http://example.com/a.png')": "InvalidParamError .*from_url",
    "Image(b'x' * ((64 << 20) + 1))": "InvalidParamError .*at most 67108864 are allowed",
}
ADDRESSES = {
    "Image.from_url('http://[::1')": "InvalidParamError .*is not an address",
    "Image.from_url('http://[::1', allow_private=True)": "HTTPError",
    "Image.from_url('http://a:b/')": "HTTPError .*[Pp]ort",
    "Image.from_url('http://\\ud800/')": "HTTPError",
    "Image.from_url('http://a\\0b/')": "HTTPError",
    "Image.from_url('http:///x', allow_private=True)": "HTTPError",
    "Image.from_url('http://' + 'a' * 5000)": "HTTPError",
    "Image.from_url('http://2130706433/')": "InvalidParamError .*private network",
    "Image.from_url('http://0/')": "InvalidParamError .*private network",
    "Image.from_url('http://[::ffff:127.0.0.1]/')": "InvalidParamError .*private network",
    "Image.from_url('http://[64:ff9b::7f00:1]/')": "InvalidParamError .*private network",
    "Image.from_url('http://[2002:7f00:1::]/')": "InvalidParamError .*private network",
    "Image.from_url('http://127.0.0.1:9/', timeout='x')": "InvalidParamError timeout must be a number",
    "Image.from_url('http://127.0.0.1:9/', timeout=-1)": "InvalidParamError timeout must be a number",
    "Image.from_url('http://127.0.0.1:9/', timeout=True)": "InvalidParamError timeout must be a number",
    "Image.from_url('http://127.0.0.1:9/', timeout=float('nan'))": "InvalidParamError timeout must be a number",
    "with_environment('ALL_PROXY', 'nonsense://127.0.0.1:9')": "HTTPError .*check the variables HTTP_PROXY",
    "with_environment('SSL_CERT_FILE', '/nonexistent')": "HTTPError .*SSL_CERT_FILE",
    "fetched(b'302 Found\\r\\nContent-Length: 0\\r\\n\\r\\n')": "HTTPError .*HTTP 302",
    "fetched(b'304 Not Modified\\r\\n\\r\\n')": "HTTPError .*HTTP 304",
    "fetched(b'302 Found\\r\\nLocation: http://[\\r\\nContent-Length: 0\\r\\n\\r\\n')": "HTTPError .*invalid address",
    "fetched(b'302 Found\\r\\nLocation: file:///etc/passwd\\r\\nContent-Length: 0\\r\\n\\r\\n')": "HTTPError",
    "fetched(b'302 Found\\r\\nLocation: /again\\r\\nContent-Length: 0\\r\\n\\r\\n')": "HTTPError .*3 redirects",
    "fetched(b'200 OK\\r\\nContent-Encoding: gzip\\r\\nContent-Length: 3\\r\\n\\r\\nabc')": "HTTPError",
    "fetched(b'200 OK\\r\\nContent-Length: 100\\r\\n\\r\\nabc')": "HTTPError",
    "fetched(b'200 OK\\r\\nX: ' + b'a' * 300000 + b'\\r\\n\\r\\n')": "HTTPError",
    "fetched(b'200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n')": "InvalidParamError .*no bytes",
    "fetched(b'\\0\\1\\2')": "HTTPError",
}
MESSAGES = {
    **{f"Agent(ScriptedModel(['x'])).generate([{value}])": "InvalidParamError message" for value in (
        "3", "None", "b'x'", "{}", "[]", "{'type': 'text', 'text': 'x'}", "Image", "'x', 3")},
    **{f"read({value})": "InvalidParamError m.content" for value in (
        "{'type': 'image_url'}", "{'type': 'image_url', 'image_url': 3}", "{'type': []}", "{'type': {}}", "{3: 4}",
        "{'type': 'image_url', 'image_url': {'url': []}}", "{'type': 'image_url', 'image_url': 'data:'}",
        "{'type': 'image_url', 'image_url': {'url': 'data:image/png;base64,' + 'A' * 1000}}",
        "{'type': 'input_audio', 'input_audio': {'data': 'AAAA', 'format': 'x'}}", "{'type': 'input_audio'}", "3",
        "None",
        "{'type': 'video_url', 'video_url': {'url': 'x'}}")},
}  # fmt: skip
CASES = {**FILES, **ADDRESSES, **MESSAGES}


@pytest.fixture(scope="module")
def ends():
    return dict(zip(CASES, try_cases(PRELUDE, list(CASES))))


@pytest.mark.skipif(sys.platform == "win32", reason="FIFOs and devices")
@pytest.mark.parametrize("case", CASES)
def test_it_is_a_typed_error_or_the_picture(ends, case):
    assert re.match(CASES[case], ends[case], re.DOTALL), ends[case]


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::"])
def test_public_addresses(address):
    assert _fetching._is_public(address)


@pytest.mark.parametrize("block", ["10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"])
@pytest.mark.parametrize("form", ["{}", "::ffff:{}", "64:ff9b::{}"])
def test_addresses_inside_others(block, form):
    assert not _fetching._is_public(form.format(ipaddress.ip_network(block)[1]))


def chunk(name, body, size=None):
    return name + struct.pack("<I", len(body) if size is None else size) + body


def riff(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def form(tag=1, channels=1, rate=16000, bits=16, more=b"", size=None):
    block = max(1, channels * bits // 8) & 0xFFFF
    values = (tag, channels, rate, (rate * block) & 0xFFFFFFFF, block, bits)
    return chunk(b"fmt ", struct.pack("<HHIIHH", *values) + more, size)


DATA = chunk(b"data", bytes(400))
SOUNDS = {
    "a circle": b"RIFF\4\0\0\0WAVE" + form(size=18, more=b"\xff\xff" + bytes(600)),
    "a jump back": riff(form(size=0x80000030, more=b"\2\0" + bytes(64)), DATA),
    "a jump far ahead": riff(form(size=0x7FFFFFFF), DATA),
    "an endless list of empty chunks": riff(form(), *[chunk(b"junk", b"")] * 20000, DATA),
    "data that is longer than the file": riff(form(), chunk(b"data", bytes(400), 0xFFFFFFFF)),
    "no channels": riff(form(channels=0), DATA),
    "65535 channels": riff(form(channels=65535), DATA),
    "no rate": riff(form(rate=0), DATA),
    "a rate of one": riff(form(rate=1), DATA),
    "the largest rate": riff(form(rate=0xFFFFFFFF), DATA),
    "samples of no bits": riff(form(bits=0), DATA),
    "samples of 65535 bits": riff(form(bits=65535), DATA),
    "samples that are not finite": riff(form(tag=3, bits=32), chunk(b"data", b"\xff\xff\xff\x7f" * 400)),
    "an unknown code": riff(form(tag=0x1234), DATA),
    "ADPCM": riff(form(tag=2, bits=4), DATA),
    "two samples": riff(form(), chunk(b"data", bytes(4))),
    "one sample": riff(form(), chunk(b"data", bytes(2))),
    "no samples": riff(form(), chunk(b"data", b"")),
    "FLAC without a frame": b"fLaC" + bytes([0x80, 0, 0, 34]) + bytes(34),
    "FLAC of the largest size": b"fLaC" + bytes([0x80, 0, 0, 34]) + b"\xff" * 34 + bytes(100),
    "MP3 of silence": (b"\xff\xfb\x90\x00" + bytes(413)) * 4,
    "MP3 with a huge tag": b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(100),
    "MP3 of headers alone": b"\xff\xfb\x90\x00" * 5000,
    "W64 in the name of RIFF": b"RIFF" + bytes(4) + b"WAVE" + b"riff" + b"\xff" * 200,
}


@pytest.fixture(scope="module")
def heard(model_path, tmp_path_factory):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    from support import projectors, random_model

    folder = tmp_path_factory.mktemp("sounds")
    random_model.write(gguf, numpy, model_path, folder / "model.gguf")
    projectors.write(gguf, numpy, folder / "mmproj.gguf", random_model.WIDTH, "ultravox", scale=4.0)
    prelude = f"""
    import sys
    from luup_agent import Agent, Audio, Model
    model = Model.from_local({str(folder / "model.gguf")!r}, mmproj={str(folder / "mmproj.gguf")!r}, threads=1,
                             context_size=4096)


    def hear(sound):
        return Agent(model, max_tokens=1, temperature=0).generate(["x", Audio(sound)], timeout=20) is not None
    """
    sources = [f"hear({sound!r})" for sound in SOUNDS.values()]
    return dict(zip(SOUNDS, try_cases(prelude, sources, seconds=60)))


@pytest.mark.parametrize("name", SOUNDS)
def test_a_sound_is_heard_or_a_typed_error(heard, name):
    assert heard[name] == "ok True" or heard[name].startswith(("InvalidParamError ", "ContextFullError ")), heard[name]
    if name == "samples that are not finite":
        assert name in heard[name]
    if name in ("a rate of one", "no rate"):
        assert heard[name].startswith("InvalidParamError")
