"""Another package's llama.cpp in the same process: whichever comes first, both answer.

The other one is installed by hand: `pip install xllamacpp`, or llama-cpp-python.
"""

import importlib.util

import pytest

PACKAGES = ["llama_cpp", "xllamacpp"]

SOURCE = """
import sys
from luup_agent import Agent, Model

path, package, first = sys.argv[1:]
SYSTEM, QUESTION = "You are a helpful assistant.", "What is the capital of France?"
MESSAGES = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
REQUEST = {"messages": MESSAGES, "max_tokens": 12, "temperature": 0.0}

def text(result):
    return result["choices"][0]["message"]["content"]

def llama_cpp():
    from llama_cpp import Llama
    model = Llama(model_path=path, n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False)
    yield lambda: text(model.create_chat_completion(**REQUEST))
    model.close()

def xllamacpp():
    import xllamacpp
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.verbosity = path, 512, 1, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    yield lambda: text(server.handle_chat_completions(REQUEST))

def ours():
    with Model.from_local(path, threads=1, context_size=512) as model:
        agent = Agent(model, SYSTEM, temperature=0, max_tokens=12, enable_history=False)
        yield lambda: agent.generate(QUESTION)

sides = [ours(), globals()[package]()]
if first != "ours":
    sides.reverse()
answers = [next(side) for side in sides]
for _ in range(2):
    for answer in answers:
        print(answer().replace("\\n", " "))
for side in sides:
    next(side, None)
"""


@pytest.mark.slow
@pytest.mark.gate
@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize("package", PACKAGES)
def test_both_answer(package, first, child, model_path):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    result = child(SOURCE, model_path, package, first, timeout=300)
    assert result.returncode == 0, result.stderr
    answers = result.stdout.splitlines()
    assert len(answers) == 4
    assert all("Paris" in answer for answer in answers), answers
