"""Questions about a picture, typed and with a follow-up.

python examples/pictures.py MODEL PROJECTOR PICTURE

MODEL and PROJECTOR: two GGUF files that belong together, such as model-Q4_K_M.gguf and mmproj-model-F16.gguf.
"""

import sys

from pydantic import BaseModel, Field
from typing_extensions import Annotated

from luup_agent import Agent, Image, LuupError, Model

Short = Annotated[str, Field(max_length=40)]


class Sight(BaseModel):
    """The content of a picture."""

    subject: Short
    colour: Short
    indoors: bool


def main(model_path: str, projector: str, picture: str) -> None:
    with Model.from_local(model_path, mmproj=projector) as model:
        agent = Agent(model, "You describe pictures.", temperature=0, max_tokens=64)
        image = Image(picture)
        print(f"Picture: {image.width} x {image.height} pixels")
        print("Answer:", agent.generate(["What is in this picture?", image]))
        print("Typed:", agent.generate("Describe it.", output_type=Sight))
        print("Encoded:", model.stats().media_encoded)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (LuupError, OSError) as error:
        sys.exit(f"error: {error}")
