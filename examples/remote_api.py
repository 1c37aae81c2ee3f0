"""The same agents on an OpenAI-compatible server (vLLM, SGLang, llama-server, Ollama, …).

python examples/remote_api.py [BASE_URL [MODEL]]    BASE_URL: such as "http://localhost:8000/v1" (the default)
                                                    MODEL: by default the first one that the server has
A key is read from the environment variable API_KEY.
"""

import os
import sys

from pydantic import BaseModel

from luup_agent import Agent, LuupError, Model


class City(BaseModel):
    name: str
    country: str


def main() -> int:
    url = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8000/v1"
    key = os.environ.get("API_KEY")
    try:
        name = sys.argv[2] if len(sys.argv) > 2 else None
        if name is None:
            with Model.from_remote(url, "default", api_key=key) as server:
                name = server.list_models()[0]
        with Model.from_remote(url, name, api_key=key, timeout=120) as model:
            agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=128)
            for text in agent.generate_stream("What is the capital of France?"):
                print(text, end="", flush=True)
            print()
            city = agent.generate("Which city is that?", output_type=City)
            print(f"{city.name} is in {city.country}")
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
