"""Use models, agents and runs in `__del__` methods at the moment of the first argument, and print how each use ends.

The second argument is a model file.
"""

import atexit
import contextlib
import gc
import os
import sys
import threading
import weakref

from luup_agent import Agent, LuupError, Model
from luup_agent.testing import FunctionModel

MOMENT, PATH = sys.argv[1:]
LOCAL = Model.from_local(PATH, threads=1, context_size=256, max_sequences=4)


def scripted():
    return FunctionModel(lambda request: "one two three four")


def streamed(stream):
    with contextlib.suppress(StopIteration):
        next(stream)
    return stream


async def read(stream):
    async for _ in stream:
        pass


def drive(stream):
    """Advance an asynchronous stream without a loop; it refuses, but must not crash."""
    with contextlib.suppress(RuntimeError, StopIteration):
        stream.send(None)


MAKE = {
    "agent": lambda: Agent(scripted()),
    "local agent": lambda: Agent(LOCAL, max_tokens=4),
    "model": scripted,
    "local model": lambda: Model.from_local(PATH, threads=1, context_size=256, max_sequences=1),
    "stream": lambda: streamed(Agent(scripted()).generate_stream("go")),
    "local stream": lambda: streamed(Agent(LOCAL, max_tokens=200).generate_stream("go")),
    "events": lambda: streamed(Agent(scripted()).stream_events("go")),
    "async stream": lambda: Agent(scripted()).generate_async("go"),
}
USE = {
    "agent": {
        "save": lambda agent: agent.save("words.agent"),
        "generate": lambda agent: agent.generate("go", timeout=20),
        "stream": lambda agent: list(agent.generate_stream("go", timeout=20)),
        "add_message": lambda agent: agent.add_message("user", "hi"),
        "get_history": lambda agent: agent.get_history(),
        "set_history": lambda agent: agent.set_history([{"role": "user", "content": "hi"}]),
        "clear_history": lambda agent: agent.clear_history(),
        "fork": lambda agent: agent.fork().get_history(),
        "todos": lambda agent: (agent.enable_builtin_todo(), agent.todos.add("a")),
        "tool": lambda agent: agent.tool(len, name="size", parameters={"type": "object"}),
        "context": lambda agent: agent.context,
        "close": lambda agent: agent.close(),
        "repr": repr,
    },
    "model": {
        "agent": lambda model: Agent(model, max_tokens=4).generate("go", timeout=20),
        "info": lambda model: model.get_info(),
        "stats": lambda model: model.stats(),
        "tokenize": lambda model: model.tokenize("hi"),
        "warmup": lambda model: model.warmup(),
        "fallback": lambda model: Agent(Model.fallback(model, model), max_tokens=4).generate("go", timeout=20),
        "close": lambda model: model.close(),
        "repr": repr,
    },
    "stream": {"next": next, "list": list, "close": lambda stream: stream.close()},
    "events": {"next": next, "list": list, "close": lambda stream: stream.close()},
    "async stream": {"send": drive, "close": lambda stream: stream.close()},
}


class LastWords:
    """Uses `thing` when it is destroyed."""

    def __init__(self, thing, name, use):
        self.thing, self.name, self.use = thing, name, use

    def __del__(self):
        speak(self.thing, self.name, self.use)


def report(process, name, end):
    """Write a line at once, so that those of several threads don't mix."""
    os.write(1, f"{process}|{name}|{end}\n".encode())


def speak(thing, name, use):
    try:
        use(thing)
        end = "ok"
    except (LuupError, StopIteration) as error:
        end = type(error).__name__
    except SystemExit:  # ends a daemon thread whose model was closed because the process exits
        end = "exit" if threading.current_thread() is not threading.main_thread() else "raw SystemExit"
    except ImportError as error:  # Python imports nothing any more
        end = "no import" if "shutting down" in str(error) else f"raw {error}"
    except BaseException as error:
        end = f"raw {type(error).__name__}: {error}"
    report(os.getpid(), name, end)


USE["local model"] = {name: USE["model"][name] for name in ("agent", "stats", "close")}  # each loads the file


def all_uses():
    for kind, make in MAKE.items():
        for name, use in (USE.get(kind) or USE[kind.replace("local ", "")]).items():
            yield make(), f"{kind}.{name}", use


def circles():
    """Put every object into a cycle with its last words; return one of each cycle."""
    found = []
    for thing, name, use in all_uses():
        circle = [thing]
        circle.append(LastWords(thing, name, use))
        circle[1].circle = circle
        with contextlib.suppress(AttributeError):
            thing.last_words = circle[1]
        found.append(circle)
    return found


def collected():
    kept = circles()
    kept.clear()
    gc.collect()


def collected_in_a_thread():
    kept = circles()
    kept.clear()
    thread = threading.Thread(target=gc.collect)
    thread.start()
    thread.join()


def at_exit():
    globals()["kept"] = circles()


def at_exit_with_closed_models():
    globals()["kept"] = circles()
    LOCAL.close()


def in_exit_functions():
    for thing, name, use in all_uses():
        atexit.register(speak, thing, name, use)


def in_finalizers():
    for thing, name, use in all_uses():
        circle = [thing]
        circle.append(circle)
        watched = type("Watched", (), {})()
        circle.append(watched)
        watched.circle = circle
        weakref.finalize(watched, lambda circle, name, use: speak(circle[0], name, use), circle, name, use)
        del circle, watched, thing
    gc.collect()


def in_the_child_of_a_fork():
    kept = circles()
    child = os.fork()
    kept.clear()
    gc.collect()
    if child == 0:
        return
    _, status = os.waitpid(child, 0)
    report(0, "child", "ok" if status == 0 else f"raw status {status}")


def at_exit_of_the_child_of_a_fork():
    at_exit()
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        report(0, "child", "ok" if status == 0 else f"raw status {status}")


def in_daemon_threads():
    """Threads that use everything while the process exits."""
    for thing, name, use in all_uses():
        threading.Thread(target=lambda t=thing, n=name, u=use: [speak(t, n, u) for _ in range(20)], daemon=True).start()


globals()[MOMENT]()
report(0, "end", "ok")
