"""The work that `bulk.py` gives to a peer, in an interpreter of its own: ``python bulk_peers.py WAY MODEL THREADS``.

Reads one task a line as JSON ({"prompts": […], "labels": […] or "schema": {…}}) and writes one line with the CPU
seconds, the seconds and the answers. Each prompt is a conversation of its own.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

MAX_TOKENS = 64
SLOTS = 8


def grammar_of(labels):
    return "root ::= " + " | ".join(json.dumps(label) for label in labels)


def load(model, threads):
    from llama_cpp import Llama

    return Llama(model_path=model, n_ctx=2048, n_threads=threads, n_threads_batch=threads, verbose=False)


def llama_cpp_python(model, threads):
    """A loop over its chat completions, with a grammar of the labels or the JSON Schema."""
    from llama_cpp import LlamaGrammar

    llama = load(model, threads)

    def work(prompts, labels=None, schema=None):
        options = {"temperature": 0.0, "max_tokens": MAX_TOKENS}
        if labels:
            options["grammar"] = LlamaGrammar.from_string(grammar_of(labels), verbose=False)
        else:
            options["response_format"] = {"type": "json_object", "schema": schema}
        answers = []
        for prompt in prompts:
            made = llama.create_chat_completion(messages=[{"role": "user", "content": prompt}], **options)
            answers.append(made["choices"][0]["message"]["content"])
        return answers

    return work


def xllamacpp(model, threads):
    """llama.cpp's server in the process, several requests at once."""
    import xllamacpp as library

    params = library.CommonParams()
    params.model.path = model
    params.n_ctx = 512 * SLOTS
    params.n_parallel = SLOTS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.use_jinja = True
    params.verbosity = -1
    server = library.Server(params)

    def work(prompts, labels=None, schema=None):
        options = {"temperature": 0.0, "max_tokens": MAX_TOKENS}
        if labels:
            options["grammar"] = grammar_of(labels)
        else:
            options["response_format"] = {"type": "json_schema", "json_schema": {"name": "r", "schema": schema}}

        def ask(prompt):
            made = server.handle_chat_completions({"messages": [{"role": "user", "content": prompt}], **options})
            return made["choices"][0]["message"]["content"]

        with ThreadPoolExecutor(SLOTS) as pool:
            return list(pool.map(ask, prompts))

    return work


WAYS = {"llama-cpp-python": llama_cpp_python, "xllamacpp": xllamacpp}


def main():
    way, model, threads = sys.argv[1:]
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print is not an answer
    work = WAYS[way](model, int(threads))
    for line in sys.stdin:
        task = json.loads(line)
        work(**{**task, "prompts": task["prompts"][:1]})  # what is made once is not part of the comparison
        began, cpu = time.perf_counter(), time.process_time()
        answers = work(**task)
        cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
        print(json.dumps({"cpu": cpu, "seconds": seconds, "answers": answers}), file=out, flush=True)
    out.close()
    os._exit(0)  # the exit of a peer is not part of the comparison


if __name__ == "__main__":
    main()
