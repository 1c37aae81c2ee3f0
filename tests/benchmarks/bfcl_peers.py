"""The peers of the tool-calling benchmark: llama-cpp-python, and llama.cpp's server as packaged by xllamacpp."""

import json
import subprocess

from peer_environment import LLAMA_CPP_PYTHON, XLLAMACPP, environment, programs

MAX_TOKENS = 1024

# Both run in an interpreter of their own: one request as a line of JSON in, one answer as a line of JSON out. {} makes
# `ask`, a function from one to the other.
LOOP = """
import json, os, sys

model, threads, context = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
{}
for line in sys.stdin:
    try:
        answer = ask(json.loads(line))
    except Exception as error:
        answer = {{"error": f"{{type(error).__name__}}: {{error}}"}}
    print(json.dumps(answer), file=out, flush=True)
"""
ASK_LLAMA_CPP_PYTHON = """
from llama_cpp import Llama

threads = threads or None
llama = Llama(model_path=model, n_ctx=context, n_threads=threads, n_threads_batch=threads, verbose=False)

def ask(request):
    return llama.create_chat_completion(**request)
"""
ASK_LLAMA_SERVER = """
import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = model
params.n_ctx = context
params.n_parallel = 1
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads or os.cpu_count()
params.use_jinja = True
params.verbosity = -1
ask = xllamacpp.Server(params).handle_chat_completions
"""


class PeerError(Exception):
    """The peer failed at a question."""


def _request(question):
    return {
        "messages": question.messages,
        "tools": question.tools,
        "tool_choice": "auto",
        "temperature": 0,
        "max_tokens": MAX_TOKENS,
    }


def _calls(answer):
    """The calls in an OpenAI chat completion."""
    if "error" in answer:
        raise PeerError(str(answer["error"]))
    calls = answer["choices"][0]["message"].get("tool_calls") or []
    try:
        return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]
    except ValueError as error:
        raise PeerError(f"arguments that are not JSON: {error}") from error


class _Peer:
    """A library in an interpreter of its own, with the chat template of the file."""

    name = ""
    requirement = ""
    ask = ""

    def __init__(self, model, threads, context):
        python = programs(environment(self.requirement)) / "python"
        self._process = subprocess.Popen(
            [str(python), "-c", LOOP.format(self.ask), str(model), str(threads), str(context)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def calls(self, question):
        """The calls that the model makes, as pairs of name and arguments."""
        self._process.stdin.write(json.dumps(_request(question)).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with {self._process.wait()}")
        return _calls(json.loads(line))

    def close(self):
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class LlamaCppPython(_Peer):
    """llama-cpp-python."""

    name = "llama-cpp-python"
    requirement = LLAMA_CPP_PYTHON
    ask = ASK_LLAMA_CPP_PYTHON


class LlamaServer(_Peer):
    """llama.cpp's server, asked without HTTP."""

    name = "llama.cpp's server"
    requirement = XLLAMACPP
    ask = ASK_LLAMA_SERVER
