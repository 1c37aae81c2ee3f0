"""Files that are not models: a typed error, no signal, and a normal run afterwards in the same process."""

import os
import random
import socket
import struct

import numpy
import pytest

GIB = 2**30

SOURCE = """
    import sys
    from luup_agent import Agent, LuupError, Model
    for path in sys.argv[2:]:
        try:
            with Model.from_local(path, context_size=256, threads=1) as model:
                Agent(model, max_tokens=2).generate("hi")
            print("loaded")
        except LuupError as error:
            assert str(error), "no message"
            print(type(error).__name__)
    with Model.from_local(sys.argv[1], context_size=512, threads=1) as model:
        assert "Paris" in Agent(model, "Answer the question.", temperature=0).generate("The capital of France is")
    print("fine")
"""


@pytest.fixture
def outcomes(child, model_path):
    """Loads some files, then makes a normal run in the same process; returns the names of the errors."""

    def load(*paths):
        result = child(SOURCE, model_path, *paths, memory=3 * GIB, timeout=120)
        assert result.stderr == ""
        assert result.returncode == 0
        *names, last = result.stdout.split()
        assert last == "fine"
        assert len(names) == len(paths)
        return names

    return load


def test_a_small_right_model_loads(outcomes, gguf_file):
    """The proof that the wrong ones below are refused for what is wrong with them."""
    assert outcomes(gguf_file("right")) == ["loaded"]


def test_what_is_not_there(outcomes, tmp_path):
    (tmp_path / "dangling.gguf").symlink_to(tmp_path / "nothing.gguf")
    (tmp_path / "file").write_bytes(b"GGUF")
    paths = [
        tmp_path / "missing.gguf",
        tmp_path / "dangling.gguf",
        tmp_path / "file" / "model.gguf",
        tmp_path / ("x" * 5000),
        "",
        "https://example.org/model.gguf",
    ]
    names = outcomes(*paths)
    assert names[:2] == ["ModelNotFoundError"] * 2
    assert set(names) <= {"ModelNotFoundError", "InvalidParamError"}


def test_what_is_no_regular_file(outcomes, tmp_path):
    os.mkfifo(tmp_path / "fifo.gguf")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        paths = [tmp_path, tmp_path / "fifo.gguf", tmp_path / "socket", "/dev/null", "/dev/zero"]
        assert outcomes(*paths) == ["ModelLoadError"] * len(paths)


def test_what_is_no_gguf(outcomes, tmp_path):
    contents = {
        "empty": b"",
        "byte": b"G",
        "magic": b"GGUF",
        "text": b"once upon a time\n" * 1000,
        "zip": b"PK\x03\x04" + bytes(1000),
        "zeros": bytes(10000),
        "backwards": b"FUGG" + bytes(1000),
        "version": b"GGUF" + struct.pack("<IQQ", 999, 1, 1),
        "big_endian": b"GGUF" + struct.pack(">IQQ", 3, 1, 1),
        "tensors": b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0),
        "metadata": b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63),
        "string": b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62) + b"key",
        "array": b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 4, 2**61),
        "nothing": b"GGUF" + struct.pack("<IQQ", 3, 0, 0),
        "noise": b"GGUF" + random.Random(1).getrandbits(800_000).to_bytes(100_000, "little"),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    names = outcomes(*(tmp_path / name for name in contents))
    assert dict(zip(contents, names)) == dict.fromkeys(contents, "ModelLoadError")


def test_a_truncated_model(outcomes, model_path, tmp_path):
    content = model_path.read_bytes()
    shares = [0.00001, 0.001, 0.01, 0.02, 0.1, 0.5, 0.99, 0.999999]
    paths = [tmp_path / f"{share}.gguf" for share in shares]
    for share, path in zip(shares, paths):
        path.write_bytes(content[: int(len(content) * share)])
    assert dict(zip(shares, outcomes(*paths))) == dict.fromkeys(shares, "ModelLoadError")


def test_models_that_can_not_generate_text(outcomes, gguf_file):
    files = [
        gguf_file("embedding_only", architecture="bert"),
        gguf_file("no_vocabulary", vocabulary=False),
        gguf_file("no_tensors", tensors=False),
    ]
    assert outcomes(*files) == ["ModelLoadError"] * len(files)


def test_metadata_that_does_not_fit(outcomes, gguf_file):
    wrong = {
        "unknown_architecture": {"architecture": "perpetuum"},
        "no_context": {"omit": ["context_length"]},
        "no_width": {"omit": ["embedding_length"]},
        "no_layers": {"omit": ["block_count"]},
        "no_heads": {"omit": ["attention.head_count"]},
        "wrong_width": {"embedding_length": 128},
        "too_many_layers": {"block_count": 3},
        "wrong_feed_forward": {"feed_forward_length": 7},
    }
    found = outcomes(*(gguf_file(name, **options) for name, options in wrong.items()))
    assert dict(zip(wrong, found)) == dict.fromkeys(wrong, "ModelLoadError")


def test_absurd_metadata(outcomes, gguf_file):
    absurd = {
        "zero_heads": {"attention.head_count": 0},
        "zero_layers": {"block_count": 0},
        "absurd_layers": {"block_count": 2**31},
        "zero_width": {"embedding_length": 0},
        "odd_heads": {"attention.head_count": 3},
        "zero_context": {"context_length": 0},
        "double_token": {"double": True},
        "rope_too_wide": {"rope.dimension_count": 4096},
    }
    found = dict(zip(absurd, outcomes(*(gguf_file(name, **options) for name, options in absurd.items()))))
    assert set(found.values()) <= {"ModelLoadError", "OutOfMemoryError", "loaded"}, found


def test_a_norm_that_can_not_be_computed(outcomes, gguf_file):
    wrong = [float("nan"), float("inf"), -1e-5, 2.0]
    files = [gguf_file(f"epsilon_{value}", **{"attention.layer_norm_rms_epsilon": value}) for value in wrong]
    assert outcomes(*files) == ["ModelLoadError"] * len(wrong)


def test_weights_of_a_type_without_kernels(outcomes, gguf_file):
    types = [numpy.int8, numpy.int16, numpy.int32, numpy.int64, numpy.float64, numpy.float16]
    files = [gguf_file(f"norms_{type_.__name__}", norm_type=type_) for type_ in types]
    assert outcomes(*files) == ["ModelLoadError"] * len(types)


def test_an_alignment(outcomes, gguf_file):
    alignments = [1, 2, 4, 8, 16, 64, 4096]
    found = outcomes(*(gguf_file(f"aligned_{alignment}", alignment=alignment) for alignment in alignments))
    for alignment, outcome in zip(alignments, found):
        assert outcome == "loaded" if alignment >= 16 else outcome in ("ModelLoadError", "loaded"), alignment


KEYS = [
    "context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count", "vocab_size",
    "attention.head_count_kv", "attention.key_length", "attention.value_length", "attention.sliding_window",
    "attention.layer_norm_rms_epsilon", "attention.scale", "rope.dimension_count", "rope.freq_base",
    "rope.scaling.factor", "rope.scaling.original_context_length", "expert_count", "expert_used_count", "logit_scale",
    "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.padding_token_id",
]  # fmt: skip
INTEGERS = [0, 1, 7, 64, 2**16, 2**31, 2**32 - 1]
FLOATS = [-1.0, 1e30, float("inf"), float("nan")]


@pytest.mark.slow
@pytest.mark.parametrize("keys", [KEYS[i : i + 4] for i in range(0, len(KEYS), 4)], ids=lambda keys: keys[0])
def test_any_number_in_the_metadata(outcomes, gguf_file, keys):
    wrong = [(key, value) for key in keys for value in INTEGERS + FLOATS]
    files = [gguf_file(f"number_{i}", **{key: value}) for i, (key, value) in enumerate(wrong)]
    found = {f"{key} = {value}": outcome for (key, value), outcome in zip(wrong, outcomes(*files))}
    assert set(found.values()) <= {"ModelLoadError", "OutOfMemoryError", "ContextFullError", "loaded"}, found


def test_the_error_names_the_file_and_the_reason(gguf_file, tmp_path):
    from luup_agent import Model, ModelLoadError, ModelNotFoundError

    with pytest.raises(ModelNotFoundError, match=r"missing\.gguf"):
        Model.from_local(tmp_path / "missing.gguf")
    with pytest.raises(ModelLoadError, match=r"vocab.*"):
        Model.from_local(gguf_file("vocabulary_less", vocabulary=False))
    with pytest.raises(ModelLoadError, match="embedding"):
        Model.from_local(gguf_file("embedding", architecture="bert"))


HUGE = """
    import sys
    from luup_agent import Agent, InvalidParamError, LuupError, Model, OutOfMemoryError
    for size in (2**31 - 1, 10**8, 10**6):
        try:
            Model.from_local(sys.argv[1], context_size=size)
            print("loaded", size)
        except (InvalidParamError, OutOfMemoryError) as error:
            assert str(error)
    with Model.from_local(sys.argv[1], context_size=512, threads=1) as model:
        assert "Paris" in Agent(model, "Answer the question.", temperature=0).generate("The capital of France is")
    print("fine")
"""


def test_a_context_that_the_memory_can_not_hold(child, model_path):
    result = child(HUGE, model_path, memory=3 * GIB, timeout=120)
    assert result.stderr == ""
    assert result.stdout == "fine\n"
    assert result.returncode == 0
