"""1,000 typed runs of the real model: 50 made-up types, 20 runs of each at temperature 1, all runs of a type at once.

    python tests/benchmarks/typed_runs.py [--model FILE] [--threads N] [--types N] [--runs N] [--max-tokens N]

What a schema says is never retried, so that every answer which is not valid counts. An answer that needs more than
--max-tokens ends with a typed error, as it should, and is counted apart.
"""

import argparse
import asyncio
import time

import typed_models

from luup_agent import Agent, InvalidOutputError, Model, catalog


async def runs_of(agent, model, runs):
    calls = [agent.run_async("Make one up.", output_type=model, seed=seed, retries=0) for seed in range(runs)]
    return await asyncio.gather(*calls, return_exceptions=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a file or a name of the catalog")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--types", type=int, default=50)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--max-tokens", type=int, default=2000)
    options = parser.parse_args()

    valid = tokens = 0
    cut, wrong = [], []
    started = time.perf_counter()
    with Model.from_local(catalog.resolve(options.model), threads=options.threads, context_size=16384) as model:
        agent = Agent(model, temperature=1.0, max_tokens=options.max_tokens, enable_history=False)
        for kind in typed_models.make(options.types):
            for result in asyncio.run(runs_of(agent, kind, options.runs)):
                if isinstance(result, InvalidOutputError) and "max_tokens" in str(result):
                    cut.append(result)
                elif isinstance(result, BaseException):
                    wrong.append((kind, result))
                else:
                    assert type(result.output) is kind
                    valid += 1
                    tokens += result.usage.completion_tokens
            print(f"{kind.__name__}: {valid} valid so far, {time.perf_counter() - started:.0f} s", flush=True)
    seconds = time.perf_counter() - started
    print(f"{valid} valid, {len(cut)} cut off, {len(wrong)} wrong, {tokens} tokens, {seconds:.0f} s")
    for kind, error in wrong[:10]:
        print(f"{error!r}\n  {kind.model_json_schema()}\n  {getattr(error, 'partial_text', '')[:300]}")


if __name__ == "__main__":
    main()
