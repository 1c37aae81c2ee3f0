"""`Image` and `Audio`: the files that they take, their places in messages, and the addresses that are fetched."""

import copy
import pickle

import pytest
from support import pictures
from support.http_server import Server

from luup_agent import Audio, HTTPError, Image, InvalidParamError, Message, _fetching
from luup_agent.media import MessageText, files_of, read_content


def jpeg(width=40, height=30):
    """Return the header of a JPEG file."""
    size = b"\xff\xc0\x00\x0b\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + b"\x01\x01\x11\x00"
    return b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff" + size + b"\xff\xda\x00\x04ab" + b"\xff\xd9"


def test_the_headers_of_files(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(pictures.png(31, 17))
    for source in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), memoryview(path.read_bytes())):
        image = Image(source)
        assert (image.format, image.width, image.height, image.url) == ("png", 31, 17, "")
    assert (Image(jpeg()).format, Image(jpeg()).width, Image(jpeg()).height) == ("jpeg", 40, 30)
    assert [
        Audio(data).format for data in (pictures.wav(), b"fLaC" + b"\0" * 9, b"ID3" + b"\0" * 9, b"\xff\xfb\x90")
    ] == [
        "wav",
        "flac",
        "mp3",
        "mp3",
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no bytes"),
        (b"\x89PNG\r\n\x1a\n", "broken png"),
        (pictures.png()[:20], "broken png"),
        (b"\xff\xd8\xff\xe0", "broken jpeg"),
        (jpeg()[:16], "broken jpeg"),
        (jpeg()[:-2], "broken jpeg.* ends too early"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "broken webp"),
        (pictures.apng(), "animation"),
        (pictures.webp(moves=True), "animation"),
        (pictures.huge_png(), "60000 x 60000 pixels; at most 64 million"),
        (b"GIF89a" + b"\0" * 20, "of the format GIF"),
        (b"\0\0\0\x18ftypavif" + b"\0" * 20, "of the format AVIF"),
        (b"hello", "not a PNG, JPEG or WebP picture"),
        (pictures.wav(), "not a PNG, JPEG or WebP picture"),
        (bytes(65 << 20), "at most"),
    ],
)
def test_files_that_are_refused(data, problem):
    with pytest.raises(InvalidParamError, match=problem):
        Image(data)


@pytest.mark.parametrize("wrong", [None, 5, ["a.png"]])
def test_other_types(wrong):
    with pytest.raises(InvalidParamError, match="takes a path or bytes"):
        Image(wrong)
    with pytest.raises(InvalidParamError, match="takes a path or bytes"):
        Audio(wrong)


def test_files_that_are_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        Image(tmp_path / "none.png")
    with pytest.raises(InvalidParamError, match="Image.from_url"):
        Image("https://example.org/cat.png")


def test_values_are_equal_by_their_bytes():
    one, same, other = Image(pictures.png()), Image(pictures.png()), Image(pictures.png(seed=9))
    assert one == same != other
    assert len({one, same, other}) == 2
    assert copy.deepcopy(one) is one
    assert pickle.loads(pickle.dumps([one, Audio(pictures.wav())])) == [one, Audio(pictures.wav())]
    assert one != Audio(pictures.wav())
    assert repr(one).startswith("<Image png 64x48, ")
    assert len(repr(other)) < 60


def test_messages_have_parts():
    image, sound = Image(pictures.png()), Audio(pictures.wav())
    message = Message(role="user", content=["Look: ", image, "and hear: ", sound])
    assert message.content == "Look: and hear: "
    assert message.parts == ("Look: ", image, "and hear: ", sound)
    assert [part["type"] for part in message.to_dict()["content"]] == ["text", "image_url", "text", "input_audio"]
    assert Message.from_dict("m", message.to_dict()) == message
    assert Message.model_validate_json(message.model_dump_json()) == message
    assert Message(role="user", content=["a", "b"]) == Message(role="user", content="ab")
    assert len(repr(message)) < 300
    with pytest.raises(ValueError, match="only messages of the user"):
        Message(role="assistant", content=[image])


def test_contents_are_checked():
    assert read_content("message", "text") == "text"
    assert read_content("message", None) is None
    assert isinstance(read_content("message", Image(pictures.png())), MessageText)
    for wrong, problem in (([], "empty list"), (["a", 5], r"message\[1\] must be"), ([b"x"], r"message\[0\].*bytes")):
        with pytest.raises(InvalidParamError, match=problem):
            read_content("message", wrong)


def test_places_are_counted_in_bytes():
    image = Image(pictures.png())
    message = read_content("message", ["Grüße", image, "€", image])
    assert [at for at, _ in files_of(message)] == [7, 10]
    assert pickle.loads(pickle.dumps(message)).parts == message.parts


def reply(status, body, headers=b""):
    def answer(connection, request):
        connection.sendall(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n%s\r\n" % (status, len(body), headers) + body)

    return answer


def test_a_picture_is_fetched_where_that_is_allowed():
    server = Server(
        reply(200, pictures.png()), reply(302, b"", b"Location: /b\r\n"), reply(200, jpeg()), reply(404, b"no")
    )
    try:
        url = server.url + "/cat.png"
        with pytest.raises(InvalidParamError, match="private network"):
            Image.from_url(url)
        assert server.requests == []
        assert Image.from_url(url, allow_private=True) == Image(pictures.png())
        assert Image.from_url(url, allow_private=True).format == "jpeg"
        with pytest.raises(HTTPError, match="404"):
            Image.from_url(url, allow_private=True)
    finally:
        server.close()
    with pytest.raises(HTTPError, match="can't be fetched"):
        Image.from_url(url, allow_private=True)


def test_the_address_that_was_checked_is_the_one_of_the_connection(monkeypatch):
    """A name that had a private address when it is looked up again would lead into the user's own network."""
    server = Server(reply(200, pictures.png()))
    looked_up = []
    monkeypatch.setattr(_fetching, "_is_public", lambda address: True)
    monkeypatch.setattr(_fetching, "_addresses", lambda host, port: looked_up.append(host) or ["127.0.0.1"])
    try:
        port = server.port
        assert Image.from_url(f"http://pictures.invalid:{port}/cat.png") == Image(pictures.png())
        assert Image.from_url(f"http://b\u00fccher.invalid:{port}/cat.png") == Image(pictures.png())
    finally:
        server.close()
    assert looked_up == ["pictures.invalid", "b\u00fccher.invalid"]
    assert [each.headers["host"] for each in server.requests] == [
        f"pictures.invalid:{port}",
        f"xn--bcher-kva.invalid:{port}",
    ]


@pytest.mark.parametrize(
    "url", ["ftp://a/b", "cat.png", "", 5, "http:///x", "https://[::1]/a", "http://169.254.169.254/a"]
)
def test_addresses_that_are_refused(url):
    with pytest.raises(InvalidParamError):
        Image.from_url(url)


def test_data_urls():
    url = Image(pictures.png()).to_dict()["image_url"]["url"]
    assert Image.from_url(url) == Image(pictures.png())
    for wrong in ("data:image/png,abc", "data:image/png;base64,%%%"):
        with pytest.raises(InvalidParamError, match="base64|Base64"):
            Image.from_url(wrong)


def test_webp_becomes_png_with_pillow():
    pillow = pytest.importorskip("PIL.Image")
    import io

    written = io.BytesIO()
    pillow.new("RGBA", (20, 10), (200, 30, 40, 128)).save(written, "WEBP", lossless=True)
    image = Image(written.getvalue())
    assert (image.format, image.width, image.height) == ("png", 20, 10)
    with pillow.open(io.BytesIO(image.data)) as back:
        assert back.getpixel((3, 3)) == (200, 30, 40, 128)
    with pytest.raises(InvalidParamError, match="broken webp"):
        Image(written.getvalue()[:-10])


def test_webp_without_pillow_stays_webp(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    image = Image(pictures.webp(12, 7))
    assert (image.format, image.width, image.height) == ("webp", 12, 7)
    assert image.to_dict()["image_url"]["url"].startswith("data:image/webp;base64,")
