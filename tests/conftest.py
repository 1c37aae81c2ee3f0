"""What all tests share: the real model, child processes with limits, the two APIs behind one driver, no network."""

import asyncio
import gc
import importlib.util
import ipaddress
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hypothesis
import llama_server as programs
import pytest
import random_model

from luup_agent import Agent, LuupError, Model, catalog

# On a busy machine an example may take long; that says nothing about the code.
hypothesis.settings.register_profile(
    "luup",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.differing_executors],
)
hypothesis.settings.load_profile("luup")


def pytest_configure(config):
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
    """A connection to another machine fails, except in tests marked `network`."""
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
    """A test that used the shared model leaves no run of it behind."""
    yield
    if "model" in request.fixturenames:
        gc.collect()
        stats = wait_until_idle(request.getfixturevalue("model"))
        assert (stats.runs_active, stats.runs_waiting) == (0, 0)


def wait_until_idle(model, seconds=5.0):
    """The statistics of `model` once no run goes on; a cancelled run may need a decode to end."""
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


class SyncAPI:
    """The synchronous methods of an agent."""

    def text(self, agent, message, **options):
        return agent.generate(message, **options)

    def pieces(self, agent, message, **options):
        return list(agent.generate_stream(message, **options))

    def response(self, agent, message, **options):
        return agent.run(message, **options)

    def events(self, agent, message, **options):
        return list(agent.stream_events(message, **options))

    def resume(self, agent, approvals, **options):
        return agent.resume(approvals, **options)

    def classify(self, agent, text, labels, **options):
        return agent.classify(text, labels, **options)

    def first_piece(self, agent, message, **options):
        stream = agent.generate_stream(message, **options)
        piece = next(stream)
        stream.close()
        return piece

    def first_event(self, agent, message, **options):
        stream = agent.stream_events(message, **options)
        event = next(stream)
        stream.close()
        return event

    def texts(self, calls):
        """The answers to (agent, message) pairs that run at the same time; an exception in place of one that failed."""

        def answer(call):
            try:
                return call[0].generate(call[1])
            except LuupError as error:
                return error

        with ThreadPoolExecutor(max_workers=len(calls)) as pool:
            return list(pool.map(answer, calls))


class AsyncAPI:
    """Their asynchronous twins, each call in an event loop of its own."""

    def __init__(self, new_loop=asyncio.new_event_loop):
        self.new_loop = new_loop

    def do(self, coroutine):
        loop = self.new_loop()
        try:
            asyncio.set_event_loop(loop)
            return loop.run_until_complete(coroutine)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            if sys.version_info >= (3, 9):
                loop.run_until_complete(loop.shutdown_default_executor())
            elif loop._default_executor is not None:
                loop._default_executor.shutdown()
            asyncio.set_event_loop(None)
            loop.close()

    def text(self, agent, message, **options):
        return self.do(agent.generate_async(message, **options))

    def pieces(self, agent, message, **options):
        async def collect():
            return [piece async for piece in agent.generate_async(message, **options)]

        return self.do(collect())

    def response(self, agent, message, **options):
        return self.do(agent.run_async(message, **options))

    def events(self, agent, message, **options):
        async def collect():
            return [event async for event in agent.stream_events_async(message, **options)]

        return self.do(collect())

    def resume(self, agent, approvals, **options):
        return self.do(agent.resume_async(approvals, **options))

    def classify(self, agent, text, labels, **options):
        return self.do(agent.classify_async(text, labels, **options))

    def first_piece(self, agent, message, **options):
        return self.do(self._first(agent.generate_async(message, **options)))

    def first_event(self, agent, message, **options):
        return self.do(self._first(agent.stream_events_async(message, **options)))

    async def _first(self, stream):
        item = await stream.__anext__()
        await stream.aclose()
        return item

    def texts(self, calls):
        async def gather():
            streams = [agent.generate_async(message) for agent, message in calls]
            return await asyncio.gather(*streams, return_exceptions=True)

        return self.do(gather())


class NoReaderLoop(asyncio.SelectorEventLoop):
    """A loop that can't watch sockets, as Windows' proactor loop."""

    def add_reader(self, fd, callback, *args):
        raise NotImplementedError


def _apis():
    apis = [
        pytest.param(SyncAPI(), id="sync"),
        pytest.param(AsyncAPI(), id="async"),
        pytest.param(AsyncAPI(NoReaderLoop), id="async-no-reader"),
    ]
    if importlib.util.find_spec("uvloop"):
        import uvloop

        apis.append(pytest.param(AsyncAPI(uvloop.new_event_loop), id="uvloop"))
    return apis


@pytest.fixture(params=_apis())
def api(request):
    """Each API in turn."""
    return request.param


@pytest.fixture(params=[api for api in _apis() if api.id != "sync"])
def async_api(request):
    """Each kind of event loop in turn."""
    return request.param


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
    """Runs Python source in a process of its own, with its arguments in `sys.argv[1:]`, and gives its result.

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
# What the build made
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tool():
    """Finds a program of a build with LUUP_BUILD_TOOLS=ON by its name; skips the test where it was not built."""

    def find(name):
        build = Path(__file__).parents[1] / "build"
        found = sorted(build.glob(f"*/luup_agent/{name}"), key=lambda path: path.stat().st_mtime)
        if not found:
            pytest.skip(f"{name} is not built: install with -C cmake.define.LUUP_BUILD_TOOLS=ON")
        return found[-1]

    return find


@pytest.fixture(scope="session")
def llama_server(tool, model_path, templates, tmp_path_factory):
    """A real llama-server with the real model; skips the test where it was not built.

    It has a template of the same family that knows tools: with the model's own it would leave them out without a word.
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
    caches = (Path(__file__).parents[1] / "build").glob("*/CMakeCache.txt")
    for cache in sorted(caches, key=lambda path: path.stat().st_mtime, reverse=True):
        found = re.search(r"^llama\.cpp_SOURCE_DIR:\w+=(.+)$", cache.read_text(encoding="utf-8"), re.MULTILINE)
        files = sorted(Path(found.group(1)).glob("models/templates/*.jinja")) if found else []
        if files:
            return files
    pytest.skip("no build here, or one with a llama.cpp that has no models/templates")


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
