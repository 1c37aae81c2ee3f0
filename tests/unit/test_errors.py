"""The exceptions carry the C library's messages, and are subclasses of Python's own."""

import copy
import pickle

import pytest

import luup_agent
from luup_agent import LuupError, check_error
from luup_agent import errors as errors_module
from luup_agent._luup_cffi import lib

PYTHON_ONLY = [
    luup_agent.ApprovalRequiredError,
    luup_agent.SessionConflictError,
    luup_agent.SessionNotFoundError,
    luup_agent.ToolLoopError,
    luup_agent.ToolRetryError,
    luup_agent.ToolsetError,
    luup_agent.UsageLimitError,
]
CLASSES = [cls for cls in LuupError.__subclasses__() if cls not in PYTHON_ONLY]
CODES = {name: getattr(lib, name) for name in dir(lib) if name.startswith("LUUP_ERROR_")}


def test_there_is_one_class_for_each_code_of_the_header():
    assert {cls.code_name: cls.code for cls in CLASSES} == CODES
    assert lib.LUUP_SUCCESS == 0


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("InvalidParamError", ValueError),
        ("OutOfMemoryError", MemoryError),
        ("ModelNotFoundError", FileNotFoundError),
        ("ToolNotFoundError", LookupError),
        ("JSONParseError", ValueError),
        ("InvalidSchemaError", ValueError),
        ("ChatTemplateError", ValueError),
        ("RunTimeoutError", TimeoutError),
        ("InvalidOutputError", ValueError),
        ("StorageError", OSError),
    ],
)
def test_an_error_is_also_the_builtin_that_it_is(name, builtin):
    with pytest.raises(builtin):
        check_error(getattr(luup_agent, name).code, "text")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_check_error_raises_the_class_of_the_code(cls):
    with pytest.raises(LuupError) as caught:
        check_error(cls.code, "what was wrong")
    assert type(caught.value) is cls
    assert str(caught.value) == "what was wrong"
    assert caught.value.code == cls.code
    assert caught.value.code_name == cls.code_name
    assert caught.value.partial_text == ""


def test_success_raises_nothing():
    check_error(0)
    check_error(0, "an unused message")


@pytest.mark.parametrize("code", [-23, -1000, 7])
def test_an_unknown_code_keeps_its_number(code):
    with pytest.raises(LuupError) as caught:
        check_error(code)
    assert type(caught.value) is LuupError
    assert caught.value.code == code
    assert caught.value.code_name == "LUUP_ERROR_UNKNOWN"
    assert str(caught.value) == "unknown error code"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_without_a_message_the_library_gives_one(cls):
    with pytest.raises(cls) as caught:
        check_error(cls.code)
    assert str(caught.value)


def test_the_librarys_message_for_this_thread_is_used():
    assert lib.luup_model_warmup(luup_agent._native.ffi.NULL) == lib.LUUP_ERROR_INVALID_PARAM
    told = luup_agent._native.to_text(lib.luup_last_error_message())
    with pytest.raises(luup_agent.InvalidParamError) as caught:
        check_error(lib.LUUP_ERROR_INVALID_PARAM)
    assert str(caught.value) == told != ""
    with pytest.raises(luup_agent.BusyError) as caught:  # not of another failure
        check_error(lib.LUUP_ERROR_BUSY)
    assert str(caught.value) != told


@pytest.mark.parametrize("cls", [LuupError, *CLASSES], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_can_be_copied_and_pickled(cls, clone):
    error = errors_module.make_error(cls.code or -99, "what was wrong", "half an ans")
    again = clone(error)
    assert type(again) is cls
    assert str(again) == "what was wrong"
    assert again.partial_text == "half an ans"
    assert again.code == error.code
    assert getattr(again, "errno", None) == getattr(error, "errno", None)


@pytest.mark.parametrize("cls", PYTHON_ONLY, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_what_python_alone_raises_has_no_code_and_keeps_its_calls(cls, clone):
    call = luup_agent.ToolCall.from_json("call_1", "add", '{"a": 1}')
    error = cls("no")
    assert (error.code, error.code_name, error.partial_text) == (0, "", "")
    name, value = ("pending", (call,)) if cls is luup_agent.ApprovalRequiredError else ("call", call)
    setattr(error, name, value)
    again = clone(error)
    assert type(again) is cls
    assert (str(again), getattr(again, name)) == ("no", value)


def test_a_missing_file_has_its_errno():
    assert luup_agent.ModelNotFoundError("x").errno == 2


def test_the_tree_is_drawn_whole():
    for cls in [*CLASSES, *PYTHON_ONLY]:
        line = next(line for line in errors_module.__doc__.splitlines() if f" {cls.__name__} " in line)
        assert not cls.code or f"{cls.code} " in line + " "
        if len(cls.__bases__) > 1:
            assert f"({cls.__bases__[1].__name__})" in line
