"""A longer context in less memory: a quantized KV cache, and positions beyond those of the training.

python examples/long_context.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import sys

from luup_agent import Agent, LuupError, Model, RopeScaling, catalog

CONTEXT_SIZE = 16384


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        for cache_type in ("f16", "q8_0", ("q8_0", "q4_0")):
            estimate = Model.estimate(path, context_size=CONTEXT_SIZE, cache_type=cache_type)
            print(f"KV cache of {CONTEXT_SIZE} tokens, {cache_type}: {estimate.memory_context >> 20} MB")

        scaling = RopeScaling("yarn", 2.0)
        with Model.from_local(path, context_size=CONTEXT_SIZE, cache_type="q8_0", rope_scaling=scaling) as model:
            info = model.get_info()
            print(f"trained for {info.training_context_size} tokens, now {info.context_size} by {info.rope_scaling}")
            agent = Agent(model, temperature=0, max_tokens=24)
            print("answer:", agent.generate("What is the capital of France?"))
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
