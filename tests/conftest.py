"""Fixtures for all tests: the real model, child processes with limits, one driver for both APIs, and no network."""

import gc
import importlib.util
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import hypothesis
import pytest
from support import builds, random_model
from support import llama_server as programs
from support.apis import both_apis
from support.scripted import Scripted

from luup_agent import Agent, LuupError, Model, catalog

# On a busy machine an example may take long without a fault in the code.
hypothesis.settings.register_profile(
    "luup",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.differing_executors],
)
hypothesis.settings.register_profile("quick", parent=hypothesis.settings.get_profile("luup"), max_examples=20)
hypothesis.settings.load_profile("luup")


def pytest_addoption(parser):
    parser.addoption("--gate", action="store_true", help="also run the tests of the release gate, which take long")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--gate"):
        return
    gate = [item for item in items if item.get_closest_marker("gate")]
    config.hook.pytest_deselected(items=gate)
    items[:] = [item for item in items if item not in gate]


def pytest_configure(config):
    if "LUUP_WEIGHTS_CACHE" not in os.environ:  # not the user's own; the processes of pytest-xdist share it
        folder = tempfile.TemporaryDirectory(prefix="luup-weights-")
        os.environ["LUUP_WEIGHTS_CACHE"] = folder.name
        config.add_cleanup(folder.cleanup)
    # Begun in the background of a shell: Ctrl-C is ignored then, by children too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.version_info < (3, 9):  # the last pytest-asyncio for 3.8 leaves an event loop of its own open
        config.addinivalue_line("filterwarnings", "ignore:unclosed (event loop|<socket):ResourceWarning")


# ---------------------------------------------------------------------------------------------------------------------
# No network
# ---------------------------------------------------------------------------------------------------------------------


def _is_local(address):
    if not isinstance(address, tuple):
        return True  # AF_UNIX
    host = address[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(autouse=True)
def no_network(monkeypatch, request):
    """Refuse connections to other machines, except in tests marked `network`."""
    if request.node.get_closest_marker("network"):
        return

    def guarded(name):
        original = getattr(socket.socket, name)

        def connect(self, address, *args):
            if not _is_local(address):
                raise RuntimeError(f"a test wants to connect to {address}")
            return original(self, address, *args)

        return connect

    monkeypatch.setattr(socket.socket, "connect", guarded("connect"))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded("connect_ex"))


# ---------------------------------------------------------------------------------------------------------------------
# The real model
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def model_path():
    """SmolLM2-135M-Instruct: LUUP_TEST_MODEL, or the catalog's (its package, the cache, or a download)."""
    named = os.environ.get("LUUP_TEST_MODEL")
    if named:
        assert Path(named).is_file(), f"LUUP_TEST_MODEL names no file: {named}"
        return Path(named)
    try:
        return catalog.resolve("smollm2")
    except LuupError as error:
        pytest.fail(f"the tests need the model smollm2; set LUUP_TEST_MODEL to its file. {error}", pytrace=False)


@pytest.fixture(scope="session")
def model(model_path):
    """The model, loaded once. A test that closes one loads its own."""
    with Model.from_local(model_path, threads=1) as loaded:  # a second thread waits for cores that other tests use
        yield loaded


@pytest.fixture(autouse=True)
def no_run_left(request):
    """Fail a test that leaves a run of the shared model behind."""
    yield
    if "model" in request.fixturenames:
        model = request.getfixturevalue("model")
        stats = model.stats()
        if stats.runs_active or stats.runs_waiting:
            gc.collect()
            stats = wait_until_idle(model)
        assert (stats.runs_active, stats.runs_waiting) == (0, 0)


def wait_until_idle(model, seconds=5.0):
    """Return the statistics of `model` once no run is active; a cancelled run may need a decode to end."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        stats = model.stats()
        busy = stats.runs_active or stats.runs_waiting
        if (not busy and stats == last) or time.monotonic() > deadline:
            return stats
        last = stats
        time.sleep(0.02)


@pytest.fixture
def idle():
    """The function `wait_until_idle(model)`."""
    return wait_until_idle


@pytest.fixture
def greedy(model):
    """Makes agents whose answers are the likeliest ones, and short."""

    def make(system_prompt=None, **options):
        return Agent(model, system_prompt, **{"temperature": 0, "max_tokens": 24, **options})

    return make


# ---------------------------------------------------------------------------------------------------------------------
# A model of one layer
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tiny_path(model_path, tmp_path_factory):
    """The file of a model that decodes thousands of tokens a second, with the vocabulary of the real one."""
    gguf = pytest.importorskip("gguf")
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    random_model.write(gguf, pytest.importorskip("numpy"), model_path, path)
    return path


@pytest.fixture(scope="session")
def tiny_model(tiny_path):
    """That model, loaded once."""
    with Model.from_local(tiny_path, threads=1) as loaded:
        yield loaded


# ---------------------------------------------------------------------------------------------------------------------
# One driver for both APIs
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=both_apis())
def api(request):
    """Each API in turn."""
    return request.param


@pytest.fixture(params=[api for api in both_apis() if api.id != "sync"])
def async_api(request):
    """Each kind of event loop in turn."""
    return request.param


@pytest.fixture(params=["scripted", "function", "http"])
def script(request):
    """Makes models with prepared answers: `script.model(*replies)`, `script.agent(*replies)`; each kind in turn."""
    scripted = Scripted(request.param)
    yield scripted
    scripted.close()


# ---------------------------------------------------------------------------------------------------------------------
# Child processes
# ---------------------------------------------------------------------------------------------------------------------

_LIMITS = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
"""


@pytest.fixture(scope="session")
def child():
    """Runs Python source in a child process, with its arguments in `sys.argv[1:]`, and returns its result.

    `memory` is its address space in bytes, `timeout` its time in seconds: going past either fails the test.
    """

    def run(source, *arguments, memory=None, timeout=120, **options):
        limits = _LIMITS.format(memory=memory) if memory else ""
        command = [sys.executable, "-X", "faulthandler", "-c", limits + textwrap.dedent(source)]
        return subprocess.run(
            command + [str(argument) for argument in arguments],
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
            **options,
        )

    return run


# ---------------------------------------------------------------------------------------------------------------------
# The build
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tool():
    """Finds a program of a build with LUUP_BUILD_TOOLS=ON by its name; skips the test without one."""

    def find(name):
        program = builds.find_program(name)
        if program is None:
            pytest.skip(builds.not_built(name))
        return program

    return find


@pytest.fixture(scope="session")
def llama_server(tool, model_path, templates, tmp_path_factory):
    """A real llama-server with the real model; skips the test where it was not built.

    Its template is one of the same family that supports tools; with the model's own the server omits them silently.
    """
    template = next(path for path in templates if path.name == "Qwen-Qwen2.5-7B-Instruct.jinja")
    options = ["--ctx-size", 16384, "--parallel", 8, "--threads", 1, "--no-warmup"]
    options += ["--alias", "smollm2", "--api-key", "sk-of-the-tests", "--chat-template-file", template]
    log = tmp_path_factory.mktemp("llama-server") / "log"
    server = programs.start_server(tool("llama-server"), model_path, log, *options)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def templates():
    """The chat templates that llama.cpp bundles, from the tree that the last build used, sorted.

    Skips the test where there are none.
    """
    files = builds.find_templates()
    if not files:
        pytest.skip("no build here, or one with a llama.cpp that has no models/templates")
    return files


@pytest.fixture(scope="session")
def marked_path(model_path, templates, tmp_path_factory):
    """The file of a tiny model with the real one's vocabulary and the control tokens of all templates."""
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    path = tmp_path_factory.mktemp("marked") / "marked.gguf"
    names = random_model.markers(template.read_text(encoding="utf-8") for template in templates)
    random_model.write(gguf, numpy, model_path, path, names, context=32768, closing='"]}<')
    return path


@pytest.fixture(scope="session")
def package():
    """The folder of the compiled module and the libraries beside it."""
    return Path(importlib.util.find_spec("luup_agent._luup_cffi").origin).parent


@pytest.fixture
def collected():
    """Instruments the runs of a test, and collects their spans and metrics in memory."""
    pytest.importorskip("opentelemetry.sdk")
    from support.spans import Collected

    from luup_agent import telemetry

    made = Collected()
    made.instrument()
    yield made
    telemetry.uninstrument()
    made.tracers.shutdown()
    made.meters.shutdown()
