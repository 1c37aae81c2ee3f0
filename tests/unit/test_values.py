"""Values on their way to C: refused by name, or unchanged."""

import logging
import math
import os
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luup_agent import InvalidParamError, _logging, _native
from luup_agent._luup_cffi import lib

INT32 = 2**31


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")))
def test_text_is_utf8(text):
    assert _native.encode_text("x", text) == text.encode("utf-8")


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")), st.text())
def test_a_nul_is_refused_with_its_index(before, after):
    with pytest.raises(InvalidParamError, match=rf"^message has a NUL character at index {len(before)}$"):
        _native.encode_text("message", before + "\0" + after)


@given(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")),
    st.characters(whitelist_categories=["Cs"]),
)
def test_a_lone_surrogate_is_refused_with_its_index(before, surrogate):
    with pytest.raises(InvalidParamError, match=f"^message has a lone surrogate, .* at index {len(before)}$"):
        _native.encode_text("message", before + surrogate)


@pytest.mark.parametrize("value", [None, b"bytes", 5, ["a"]])
def test_only_str_is_text(value):
    with pytest.raises(InvalidParamError, match="message must be a str, not"):
        _native.encode_text("message", value)


@given(st.integers(-INT32, INT32 - 1))
def test_an_int_of_32_bits_goes_through(number):
    assert _native.encode_int("x", number) == number


@pytest.mark.parametrize("value", [True, False, 3.0, 3.5, "3", None, [3], math.nan])
def test_only_ints_are_ints(value):
    with pytest.raises(InvalidParamError, match="threads must be an int, not"):
        _native.encode_int("threads", value)


@pytest.mark.parametrize("value", [INT32, -INT32 - 1, 10**30])
def test_an_int_beyond_32_bits_is_refused(value):
    with pytest.raises(InvalidParamError, match=f"threads must be between .*, got {value}"):
        _native.encode_int("threads", value)


@pytest.mark.parametrize(("value", "expected"), [(1, 1.0), (0.5, 0.5), (Fraction(1, 4), 0.25), (10**400, math.inf)])
def test_real_numbers_are_floats(value, expected):
    assert _native.encode_float("x", value) == expected


@pytest.mark.parametrize("value", [True, "0.5", None, 1j])
def test_only_real_numbers_are_floats(value):
    with pytest.raises(InvalidParamError, match="top_p must be a float, not"):
        _native.encode_float("top_p", value)


@pytest.mark.parametrize("value", [0, 1, None, "yes"])
def test_only_bools_are_bools(value):
    with pytest.raises(InvalidParamError, match="use_mmap must be a bool, not"):
        _native.encode_bool("use_mmap", value)


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [(None, -1), (math.inf, -1), (1e300, -1), (0, 0), (0.0001, 1), (1.5, 1500), (2, 2000), (1e9, 10**12)],
)
def test_timeouts_are_rounded_up_to_milliseconds(seconds, milliseconds):
    assert _native.encode_timeout(seconds) == milliseconds


@pytest.mark.parametrize("value", [-0.001, -1, math.nan, "5", True])
def test_a_bad_timeout_is_refused(value):
    with pytest.raises(InvalidParamError, match="timeout"):
        _native.encode_timeout(value)


def test_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    expected = os.fsencode(str(tmp_path / "a.gguf"))
    assert _native.encode_path("path", tmp_path / "a.gguf") == expected
    assert _native.encode_path("path", os.path.join("~", "a.gguf")) == expected
    for bad in (None, 5, b"a.gguf"):
        with pytest.raises(InvalidParamError, match="path must be a str or os.PathLike"):
            _native.encode_path("path", bad)
    with pytest.raises(InvalidParamError, match="path has a NUL"):
        _native.encode_path("path", "a\0b")


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (logging.NOTSET + 1, "DEBUG"),
        (logging.DEBUG, "DEBUG"),
        (logging.INFO, "INFO"),
        (logging.INFO + 5, "WARN"),
        (logging.WARNING, "WARN"),
        (logging.ERROR, "ERROR"),
        (logging.CRITICAL, "NONE"),
    ],
)
def test_the_library_keeps_what_the_logger_would_pass_on(level, expected):
    assert _native.log_level_of(level) == getattr(lib, f"LUUP_LOG_{expected}")


def test_the_package_leaves_its_warnings_to_the_program_or_to_python(child):
    seen = child("import logging, luup_agent; print(logging.getLogger('luup_agent').handlers)")
    assert (seen.stdout, seen.stderr) == ("[]\n", "")


def test_logging_to_stderr_is_switched_on_once(capsys, caplog, monkeypatch):
    logger = _logging.logger
    monkeypatch.setattr(logger, "handlers", list(logger.handlers))
    caplog.set_level(logging.WARNING, "luup_agent")  # to be put back
    _logging.log_to_stderr()
    _logging.log_to_stderr()
    logger.info("loaded")
    logger.debug("too much")
    assert capsys.readouterr().err == "luup_agent: loaded\n"


def test_every_function_of_the_library_is_known():
    names = _native.function_names()
    assert names == sorted(names)
    assert {"luup_model_load", "luup_run_next", "luup_string_free"} <= set(names)
    assert not [name for name in names if name.startswith("luup_py_")]
