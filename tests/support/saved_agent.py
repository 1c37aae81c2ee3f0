"""The file of a saved agent, taken apart and put together again with a right checksum.

csrc/engine/state_file.cpp describes its layout.
"""

import json
import struct

_MASK = (1 << 64) - 1
_MIX = (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)


def read_header(content):
    """Return the values in the header of a file."""
    size = struct.unpack("<Q", content[8:16])[0]
    return json.loads(content[16 : 16 + size])


def with_header(content, header):
    """Return the file with another header, a JSON text, and its checksum."""
    size = struct.unpack("<Q", content[8:16])[0]
    data = header.encode("utf-8")
    return (
        content[:8]
        + struct.pack("<Q", len(data))
        + data
        + struct.pack("<Q", fingerprint(data))
        + content[16 + size + 8 :]
    )


def fingerprint(data):
    """Return the checksum of csrc/base/fingerprint.h."""
    state = 0x9E3779B97F4A7C15
    lanes = [state, ~state & _MASK, _swapped(state), ~_swapped(state) & _MASK]
    whole = len(data) // 32 * 32
    for at in range(0, whole, 32):
        lanes = [_mix(lane, word) for lane, word in zip(lanes, struct.unpack_from("<4Q", data, at))]
    for lane in lanes:
        state = _mix(state, lane)
    words = len(data) // 8 * 8
    for at in range(whole, words, 8):
        state = _mix(state, struct.unpack_from("<Q", data, at)[0])
    return _mix(state, int.from_bytes(bytes([len(data) - words]) + data[words:], "big"))


def _swapped(state):
    return (state << 32 | state >> 32) & _MASK


def _mix(state, word):
    state = (state ^ word) * _MIX[0] & _MASK
    state = (state ^ state >> 33) * _MIX[1] & _MASK
    return state ^ state >> 29
