"""The effect of a draft model: greedy answers of one thread with a draft and without, by the processor's time.

    python tests/benchmarks/draft_model.py [--model FILE] [--answers N]

Three drafts: the model for a copy of it with 32-bit weights, which is several times as slow and mostly of the same
opinion; the model for itself, which saves nothing; and random weights, which are never right. The last two show what a
useless draft costs: the ratio must not be below 0.97.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import gguf
import numpy

from luup_agent import Agent, Model, catalog

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from support import random_model

QUESTIONS = (
    "What is the capital of France, and what is it known for?",
    "How do I make tea?",
    "Why is the sky blue?",
    "Name five animals of the forest.",
)


def widen(source, target):
    """Write a copy of a model with 32-bit weights."""
    reader = gguf.GGUFReader(str(source))
    architecture = bytes(reader.fields["general.architecture"].parts[-1]).decode()
    writer = gguf.GGUFWriter(str(target), architecture)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=inner)
    for tensor in reader.tensors:
        weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        writer.add_tensor(tensor.name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def measure(model, answers):
    """Return the processor's seconds and the texts of greedy answers, after one that is not counted."""
    Agent(model, temperature=0, max_tokens=64, prompt_lookup=False).generate("Hello")
    begin, texts = time.process_time(), []
    for number in range(answers):
        agent = Agent(model, temperature=0, max_tokens=96, prompt_lookup=False)
        texts.append(agent.generate(QUESTIONS[number % len(QUESTIONS)] + " " * (number // len(QUESTIONS))))
    return time.process_time() - begin, texts


def main():
    """Print a line for each draft."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--answers", type=int, default=8)
    options = parser.parse_args()
    path = catalog.resolve(options.model)
    with tempfile.TemporaryDirectory() as folder:
        wide, noise = Path(folder) / "wide.gguf", Path(folder) / "noise.gguf"
        widen(path, wide)
        random_model.write(gguf, numpy, path, noise)
        for name, model, draft in (("as right", wide, path), ("itself", path, path), ("random", path, noise)):
            load = {"threads": 1, "context_size": 2048, "max_sequences": 8}
            with Model.from_local(model, **load) as plain, Model.from_local(model, draft=draft, **load) as drafted:
                times = {plain: [], drafted: []}
                for _ in range(3):  # in turns: a busy machine slows both
                    for each in times:
                        seconds, texts = measure(each, options.answers)
                        times[each].append((seconds, texts))
                best = {each: min(seconds for seconds, _ in runs) for each, runs in times.items()}
                pairs = list(zip(times[plain][0][1], times[drafted][0][1]))
                stats = drafted.stats()
            print(
                f"{name:10} {best[plain] / best[drafted]:.2f} times as fast; same answers: "
                f"{sum(a == b for a, b in pairs)} of {len(pairs)}; drafted {stats.tokens_drafted}, right "
                f"{stats.drafts_accepted}",
                flush=True,
            )


if __name__ == "__main__":
    main()
