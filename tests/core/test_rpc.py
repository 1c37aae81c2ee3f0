"""A model in the memory of several RPC servers, here two processes on loopback, and servers that fail."""

import contextlib
import os
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path

import pytest
from support import llama_server as programs

from luup_agent import Agent, BackendInitError, InferenceError, InvalidParamError, Model, RunTimeoutError

CAPITAL = "What is the capital city of France? Answer in one sentence."


@pytest.fixture
def rpc_servers(tool, tmp_path):
    with contextlib.ExitStack() as stack:
        servers = [programs.start_rpc(tool("ggml-rpc-server"), tmp_path / f"log{n}") for n in range(2)]
        for server in servers:
            stack.callback(server.stop)
        yield servers


def test_two_servers_hold_a_model_together(rpc_servers, model_path, model):
    addresses = [server.address for server in rpc_servers]
    with Model.from_local(model_path, context_size=512, threads=1, rpc_servers=addresses) as shared:
        info = shared.get_info()
        assert info.gpu_layers == info.layers
        assert info.backend == "RPC"
        agent = Agent(shared, temperature=0, max_tokens=24)
        assert "Paris" in agent.generate(CAPITAL)
        assert agent.generate("And of Italy?")  # the history is warm there
        with Model.from_local(
            model_path, context_size=512, threads=1, rpc_servers=addresses[:1]
        ) as other:  # the connection is shared
            assert "Paris" in Agent(other, temperature=0, max_tokens=24).generate(CAPITAL)
    with Model.from_local(model_path, context_size=512, threads=1) as local:  # not shared with other tests
        assert local.get_info().backend == model.get_info().backend
    with Model.from_local(model_path, context_size=512, threads=1, rpc_servers=addresses, tensor_split=[1, 3]) as again:
        assert "Paris" in Agent(again, temperature=0, max_tokens=24).generate(CAPITAL)


def test_the_estimate_is_what_the_servers_take(rpc_servers, model_path):
    options = {"context_size": 512, "rpc_servers": [server.address for server in rpc_servers]}
    estimate = Model.estimate(model_path, **options)
    with Model.from_local(model_path, threads=1, **options) as model:
        info = model.get_info()
    assert estimate.memory_weights == pytest.approx(info.memory_weights, rel=0.02)
    assert estimate.memory_context == info.memory_context
    assert estimate.memory_compute == pytest.approx(info.memory_compute, rel=0.15)
    assert estimate.gpu_layers == info.gpu_layers == info.layers
    assert estimate.memory_devices > 0.5 * estimate.total
    assert estimate.devices_free > 0
    assert estimate.fits
    with pytest.raises(BackendInitError, match="can't be reached"):
        Model.estimate(model_path, rpc_servers=["127.0.0.1:1"])


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no way to stop a process")
def test_a_server_that_hangs_is_waited_for_no_longer_than_a_run_may_take(api, rpc_servers, model_path):
    server = rpc_servers[0]
    with Model.from_local(model_path, context_size=512, threads=1, rpc_servers=[server.address]) as model:
        agent = Agent(model, temperature=0, max_tokens=24)
        before = api.text(agent, CAPITAL)
        server.send(signal.SIGSTOP)
        try:
            begun = time.monotonic()
            with pytest.raises(RunTimeoutError):
                api.text(agent, "And of Italy?", timeout=0.5)
            assert time.monotonic() - begun < 10
        finally:
            server.send(signal.SIGCONT)
        assert len(agent.messages) == 2  # nothing of it is kept
        agent.clear_history()
        assert api.text(agent, CAPITAL) == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's table of connections")
def test_a_connection_asks_for_signs_of_life(rpc_servers, model_path):
    """Else a machine that loses its power would be waited for for ever."""
    server = rpc_servers[0]
    with Model.from_local(model_path, context_size=512, threads=1, rpc_servers=[server.address]) as model:
        Agent(model, max_tokens=1).generate("Hi")
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        open_ones = [row for row in rows if row[2].endswith(f":{server.port:04X}") and row[3] == "01"]  # established
        assert open_ones
        for row in open_ones:
            kind, ticks = row[5].split(":")
            assert kind == "02"  # the timer that waits for a sign of life
            assert int(ticks, 16) <= 10 * os.sysconf("SC_CLK_TCK")


def test_a_server_that_goes_away_ends_runs_and_no_more(rpc_servers, model_path, model, tmp_path):
    addresses = [server.address for server in rpc_servers]
    with Model.from_local(model_path, context_size=512, threads=1, rpc_servers=addresses[1:]) as other:
        with Model.from_local(model_path, context_size=512, threads=1, rpc_servers=addresses[:1]) as shared:
            agents = [Agent(shared, temperature=0, max_tokens=200) for _ in range(4)]
            pieces = [agent.generate_stream("Count from one to two hundred.") for agent in agents]
            for stream in pieces:
                next(stream)
            history = agents[0].messages
            rpc_servers[0].kill()
            for stream in pieces:
                with pytest.raises(InferenceError, match=f"the connection to the RPC server {addresses[0]} is lost"):
                    list(stream)
            with pytest.raises(InferenceError, match="load the model again"):  # and stays away
                agents[0].generate("Hi")
            with pytest.raises(InferenceError, match="is lost"):
                Agent(shared).generate("Hi")
            agents[0].save(tmp_path / "agent")  # the history is here
            with pytest.raises(BackendInitError, match="close the models that use it"):
                Model.from_local(model_path, rpc_servers=addresses[:1])
            assert "Paris" in Agent(other, temperature=0, max_tokens=24).generate(CAPITAL)  # another server's goes on
        with pytest.raises(BackendInitError, match="can't be reached"):
            Model.from_local(model_path, rpc_servers=addresses[:1])
        assert "Paris" in Agent(other, temperature=0, max_tokens=24).generate(CAPITAL)
    saved = Agent.load(tmp_path / "agent", model)
    assert saved.messages == history
    assert saved.generate("Hi")


@contextlib.contextmanager
def listener(answer=None):
    """Accept connections and send `answer` to each after its first bytes; None sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        if answer is None:
                            connection.recv(1000)
                            connection.recv(1000)  # until the other one hangs up
                        else:
                            connection.recv(1000)
                            connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "does not answer; it serves one client at a time"),
        (b"", "closed the connection: it is not an RPC server"),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "is not an RPC server of llama.cpp"),
        (
            struct.pack("<Q", 28) + bytes([3, 9, 0, 0]) + bytes(24),
            "has version 3.9 of the protocol, but this library",
        ),
    ],
)
def test_a_server_that_is_none_is_told(tiny_path, answer, reason):
    with listener(answer) as address, pytest.raises(BackendInitError, match=rf"the RPC server {address} {reason}"):
        Model.from_local(tiny_path, rpc_servers=[address])


def test_nobody_there(tiny_path):
    address = f"127.0.0.1:{programs.free_port()}"
    with pytest.raises(BackendInitError, match=rf"the RPC server {address} can't be reached: .*refused"):
        Model.from_local(tiny_path, rpc_servers=[address])
    with pytest.raises(BackendInitError, match="can't be reached: there is no such host"):
        Model.from_local(tiny_path, rpc_servers=["no such host.invalid:5000".replace(" ", "-")])


@pytest.mark.parametrize(
    "address", ["", "localhost", "localhost:", ":50052", "a:b", "a:0", "a:65536", "[::1]:5", "u@a:5", "http://a:5"]
)
def test_what_is_no_address_is_refused(tiny_path, address):
    with pytest.raises(InvalidParamError, match="rpc_servers"):
        Model.from_local(tiny_path, rpc_servers=[address])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rpc_servers": "a:5"}, "rpc_servers must be a list or a tuple, not str"),
        ({"rpc_servers": []}, "rpc_servers must not be empty"),
        ({"rpc_servers": [5]}, r"rpc_servers\[0\] must be a str, not int"),
        ({"rpc_servers": ["a:5", "a:5"]}, "rpc_servers names a:5 twice"),
        ({"rpc_servers": ["a:5"], "gpu_layers": 0}, "rpc_servers are given, but gpu_layers is 0"),
        ({"rpc_servers": ["a:5"] * 1000}, "rpc_servers has more than"),
    ],
)
def test_servers_that_make_no_sense_are_refused(tiny_path, options, match):
    with pytest.raises(InvalidParamError, match=match):
        Model.from_local(tiny_path, **options)
