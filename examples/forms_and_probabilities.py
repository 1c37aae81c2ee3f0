"""Answers of a form: choices, a regular expression, a grammar, a JSON schema; and how sure the model was of its words.

python examples/forms_and_probabilities.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import sys

from luup_agent import Agent, Choice, Grammar, LuupError, Model, Regex, catalog

SUM = Grammar("""
root   ::= number " + " number
number ::= [1-9] [0-9]?
""")
CITY = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "country": {"type": "string", "maxLength": 20}},
    "required": ["name", "country"],
    "additionalProperties": False,
}


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path) as model:
            judge = Agent(model, temperature=0, output_type=Choice(["happy", "sad"]), enable_history=False)
            for message in ("I won the race!", "My dog has died."):
                response = judge.run(f"How does the writer feel? {message}")
                print(f"{message} {response.output}, {response.confidence['']:.0%}")

            agent = Agent(model, temperature=0, max_tokens=60, enable_history=False)
            year = Regex("(19|20)[0-9]{2}")
            print("year:", agent.generate("When did people first land on the Moon?", output_type=year))
            print("sum:", agent.generate("Write a sum of two numbers.", output_type=SUM))
            print("city:", agent.generate("What is the capital of France?", output_type=CITY))

            for token in agent.run("What is the capital of France?", top_logprobs=2).logprobs:
                print(f"{token.text!r}:", ", ".join(f"{other.text!r} {other.probability:.0%}" for other in token.top))

            penalties = {"presence_penalty": 1.0, "frequency_penalty": 0.5}
            animals = agent.generate("Name some animals.", logit_bias={" cats": -100, " dogs": -100}, **penalties)
            print("animals:", " ".join(animals.split()))
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
