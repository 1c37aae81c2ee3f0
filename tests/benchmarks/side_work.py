"""The work that `compare.py` gives to each library, in an interpreter of its own.

    python side_work.py LIBRARY MODEL THREADS CONTEXT SLOTS

Reads one task a line as JSON ({"task": name, ...its parameters}) and writes one result a line. Times are seconds,
measured here.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor


class Side:
    """One library. A conversation is a list of OpenAI messages."""

    def __init__(self, model, threads, context, slots):
        raise NotImplementedError

    def answer(self, messages, **options):
        """(text, completion tokens)."""
        raise NotImplementedError

    def stream(self, messages, max_tokens):
        """The pieces of an answer."""
        raise NotImplementedError

    def crowd(self, conversations, max_tokens):
        """Answers all, as side by side as it can."""
        with ThreadPoolExecutor(len(conversations)) as pool:
            list(pool.map(lambda messages: self.answer(messages, max_tokens=max_tokens), conversations))


class LlamaCppPython(Side):
    """llama-cpp-python: one context, one answer at a time; what the last prompt began with is kept."""

    def __init__(self, model, threads, context, slots):
        from llama_cpp import Llama

        self._llama = Llama(
            model_path=model, n_ctx=context, n_threads=threads, n_threads_batch=threads, n_batch=512, verbose=False
        )

    def answer(self, messages, max_tokens, schema=None):
        form = {"type": "json_object", "schema": schema} if schema else None
        result = self._llama.create_chat_completion(
            messages=messages, max_tokens=max_tokens, temperature=0.0, response_format=form
        )
        return result["choices"][0]["message"]["content"], result["usage"]["completion_tokens"]

    def stream(self, messages, max_tokens):
        chunks = self._llama.create_chat_completion(
            messages=messages, max_tokens=max_tokens, temperature=0.0, stream=True
        )
        for chunk in chunks:
            piece = chunk["choices"][0]["delta"].get("content")
            if piece:
                yield piece

    def crowd(self, conversations, max_tokens):
        for messages in conversations:
            self.answer(messages, max_tokens=max_tokens)


class XLlamaCpp(Side):
    """xllamacpp: llama.cpp's server in the process, with as many slots as are asked for."""

    def __init__(self, model, threads, context, slots):
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = model
        params.n_ctx = context
        params.n_parallel = slots
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
        params.n_batch = params.n_ubatch = 512
        params.use_jinja = True
        params.verbosity = -1
        self._server = xllamacpp.Server(params)

    def answer(self, messages, max_tokens, schema=None):
        request = {"messages": messages, "max_tokens": max_tokens, "temperature": 0.0}
        if schema:
            request["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        result = self._server.handle_chat_completions(request)
        if "choices" not in result:
            raise RuntimeError(result)
        return result["choices"][0]["message"]["content"], result["usage"]["completion_tokens"]

    def stream(self, messages, max_tokens):
        import queue
        import threading

        pieces = queue.Queue()

        def take(chunk):
            for part in chunk if isinstance(chunk, list) else [chunk]:
                for choice in part.get("choices", ()):
                    pieces.put(choice["delta"].get("content"))

        def ask():
            request = {"messages": messages, "max_tokens": max_tokens, "temperature": 0.0, "stream": True}
            self._server.handle_chat_completions(request, take)
            pieces.put(Side)

        threading.Thread(target=ask).start()
        for piece in iter(pieces.get, Side):
            if piece:
                yield piece


class LuupAgent(Side):
    """This library: an agent for each conversation."""

    def __init__(self, model, threads, context, slots, prefix_cache=None):
        from luup_agent import Model

        self._model = Model.from_local(
            model, threads=threads, context_size=context, max_sequences=max(slots, 4), prefix_cache=prefix_cache
        )
        self._last = None

    def _agent(self, messages):
        """The agent of this conversation, which has all of its messages but the last; and the last."""
        from luup_agent import Agent

        *earlier, last = messages
        system = earlier.pop(0)["content"] if earlier and earlier[0]["role"] == "system" else None
        agent = self._last
        if agent is None or agent.system_prompt != system or agent.get_history() != earlier:
            agent = self._last = Agent(self._model, system, temperature=0)
        return agent, last["content"]

    def answer(self, messages, max_tokens, schema=None):
        agent, message = self._agent(messages)
        if schema is None:
            response = agent.run(message, max_tokens=max_tokens)
        else:
            response = agent.run(message, max_tokens=max_tokens, output_type=_typed(schema))
        return response.text, response.usage.completion_tokens

    def stream(self, messages, max_tokens):
        agent, message = self._agent(messages)
        return agent.generate_stream(message, max_tokens=max_tokens)


_types = {}


def _typed(schema):
    """A pydantic model of a flat schema."""
    from pydantic import Field, create_model

    python = {"string": str, "integer": int, "number": float, "boolean": bool, "array": list}
    key = json.dumps(schema)
    if key not in _types:
        fields = {}
        for name, field in schema["properties"].items():
            limits = {"max_length": field["maxLength"]} if "maxLength" in field else {}
            fields[name] = (python[field["type"]], Field(**limits))
        _types[key] = create_model(schema["title"], **fields)
    return _types[key]


def _conversation(system, *messages):
    return [{"role": "system", "content": system}, *({"role": "user", "content": text} for text in messages)]


def crowd(side, system, messages, max_tokens):
    """Agents with the same system prompt, all at once: seconds until the last has its answer."""
    begin = time.perf_counter()
    side.crowd([_conversation(system, message) for message in messages], max_tokens)
    return time.perf_counter() - begin


def turns(side, system, messages, max_tokens):
    """One conversation: seconds to the first piece of each turn."""
    conversation = _conversation(system)
    seconds = []
    for message in messages:
        conversation.append({"role": "user", "content": message})
        begin, first, pieces = time.perf_counter(), None, []
        for piece in side.stream(conversation, max_tokens):
            first = first or time.perf_counter() - begin
            pieces.append(piece)
        seconds.append(first)
        conversation.append({"role": "assistant", "content": "".join(pieces)})
    return seconds


def typed(side, message, schema, max_tokens):
    """An object of a schema: seconds, its tokens and its text."""
    begin = time.perf_counter()
    text, tokens = side.answer([{"role": "user", "content": message}], max_tokens=max_tokens, schema=schema)
    return {"seconds": time.perf_counter() - begin, "tokens": tokens, "text": text}


def decode(side, message, max_tokens):
    """Pieces (tokens, of plain English) a second as a loop over the stream sees them, from the first on."""
    times = [time.perf_counter() for _ in side.stream([{"role": "user", "content": message}], max_tokens)]
    return (len(times) - 1) / (times[-1] - times[0])


def prefill(side, message):
    """Seconds to the first piece."""
    begin = time.perf_counter()
    next(iter(side.stream([{"role": "user", "content": message}], 1)))
    return time.perf_counter() - begin


SIDES = {"luup-agent": LuupAgent, "llama-cpp-python": LlamaCppPython, "xllamacpp": XLlamaCpp}
TASKS = {task.__name__: task for task in (crowd, turns, typed, decode, prefill)}


def main():
    library, model, threads, context, slots, *more = sys.argv[1:]
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print is not an answer
    side = SIDES[library](model, int(threads), int(context), int(slots), *more)
    side.answer([{"role": "user", "content": "Hi"}], max_tokens=1)  # the weights are in memory
    print(json.dumps("ready"), file=out, flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        print(json.dumps(TASKS[task.pop("task")](side, **task)), file=out, flush=True)
    out.close()
    os._exit(0)  # the exit of a peer is not part of the comparison


if __name__ == "__main__":
    main()
