"""A model with two LoRA adapters and a draft model: agents with different adapters answer at the same time.

python examples/adapters.py MODEL DRAFT ADAPTER ADAPTER

MODEL: a GGUF file. DRAFT: a smaller one with the same vocabulary, which guesses the next tokens; "none": no guesses.
ADAPTER: two GGUF files that convert_lora_to_gguf.py of llama.cpp wrote for the model.
"""

import asyncio
import sys
from typing import Dict

from luup_agent import Agent, LuupError, Model

QUESTION = "Once upon a time there was a fox."


async def main(model_path: str, draft: str, *adapters: str) -> None:
    files: Dict[str, str] = dict(zip(("first", "second"), adapters))
    with Model.from_local(model_path, adapters=files, draft=False if draft == "none" else draft) as model:
        sets = {"no adapter": None, "first": "first", "second": "second", "half of both": {"first": 0.5, "second": 0.5}}
        agents = {name: Agent(model, adapter=each, temperature=0, max_tokens=32) for name, each in sets.items()}
        answers = await asyncio.gather(*(agent.generate_async(QUESTION) for agent in agents.values()))
        for name, answer in zip(agents, answers):
            print(f"{name}:", " ".join(answer.split()))

        again = agents["first"].fork().generate("And then?", adapter="second")  # one run with another adapter
        print("first, then second:", " ".join(again.split()))

        if draft != "none":
            megabytes, stats = model.get_info().memory_draft / 1e6, model.stats()
            print(f"the draft model takes {megabytes:.1f} MB; it guessed {stats.tokens_drafted} tokens")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:]))
    except (LuupError, OSError) as error:
        sys.exit(f"error: {error}")
