"""Files of pictures and sounds, made by hand: no library that reads or writes them is needed."""

import math
import struct
import subprocess
import zlib


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width=64, height=48, seed=1, extra=b"", level=1):
    """Return a PNG file of `width` x `height` pixels, in colours that depend on `seed`."""
    rows = []
    for y in range(height):
        row = bytearray(b"\0")
        for x in range(width):
            row += bytes(((x * seed * 5) & 255, (y * (seed + 3)) & 255, ((x ^ y) * seed + seed * 40) & 255))
        rows.append(bytes(row))
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = _chunk(b"IDAT", zlib.compress(b"".join(rows), level))
    return b"\x89PNG\r\n\x1a\n" + head + extra + data + _chunk(b"IEND", b"")


def apng():
    """Return a PNG file that says it has two frames."""
    return png(extra=_chunk(b"acTL", struct.pack(">II", 2, 0)))


def huge_png(width=60000, height=60000):
    """Return a small PNG file whose header claims many pixels."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + _chunk(b"IDAT", zlib.compress(b"\0" * 100)) + _chunk(b"IEND", b"")


def bomb_png(zeros=1 << 28):
    """Return a PNG file of one pixel whose compressed data has `zeros` bytes."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(1 << 20)) for _ in range(zeros >> 20)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + head + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def webp(width=8, height=8, moves=False):
    """Return the header of a WebP file, without a picture."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes((2 if moves else 0, 0, 0, 0)) + size
    return b"RIFF" + struct.pack("<I", len(body)) + body


def wav(seconds=0.5, rate=16000, pitch=440):
    """Return a WAV file with a tone."""
    count = int(seconds * rate)
    samples = b"".join(struct.pack("<h", int(9000 * math.sin(i * pitch * 6.283 / rate))) for i in range(count))
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    body = head + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


def reference(tool, model, mmproj, question, files, tokens=16, **options):
    """Return the answer of llama.cpp's own program to the same conversation."""
    command = [str(tool("llama-mtmd-cli")), "-m", str(model), "--mmproj", str(mmproj), "--temp", "0", "-n", str(tokens)]
    command += ["-p", question, "--jinja", "-t", "1", "-c", "2048", "--no-warmup", "--repeat-penalty", "1"]
    for name, value in options.items():
        command += [name, value]
    for flag, file in files:
        command += [flag, str(file)]
    done = subprocess.run(command, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.decode(errors="replace").strip("\n")
