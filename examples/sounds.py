"""Questions about a recording, with a follow-up.

python examples/sounds.py MODEL PROJECTOR RECORDING

MODEL and PROJECTOR: two GGUF files that belong together, such as model-Q4_K_M.gguf and mmproj-model-F16.gguf.
RECORDING: a WAV, MP3 or FLAC file.
"""

import sys

from luup_agent import Agent, Audio, LuupError, Model


def main(model_path: str, projector: str, recording: str) -> None:
    with Model.from_local(model_path, mmproj=projector) as model:
        if not model.get_info().hears:
            sys.exit(f"error: {model_path} with {projector} does not read sounds")
        agent = Agent(model, "You listen to recordings.", temperature=0, max_tokens=64)
        first = agent.run(["What is said in this recording?", Audio(recording)])
        print("Answer:", " ".join(first.text.split()))
        second = agent.run("In which language?")  # the recording is in the history now
        print("Language:", " ".join(second.text.split()))
        print(f"Encoded: {model.stats().media_encoded}, reused: {second.usage.cached_tokens} tokens")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (LuupError, OSError) as error:
        sys.exit(f"error: {error}")
