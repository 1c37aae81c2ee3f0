"""Recording the answers of a local model, and replaying them."""

from support.conversation import Movie, converse

from luup_agent import Agent
from luup_agent.testing import RecordedModel


def test_a_local_model_is_recorded(api, model, tmp_path):
    path = tmp_path / "tape.json"
    told = converse(api, RecordedModel(path, model))
    seen, _, text, movie, usage, history = told
    assert seen
    assert text
    assert isinstance(movie, Movie)
    assert usage.prompt_tokens > 0
    assert '"role": "tool"' in history
    assert converse(api, RecordedModel(path, mode="none")) == told
    assert not model.closed


def test_a_recorded_local_model_answers_as_itself(api, model, tmp_path):
    question = "What is the capital city of France? Answer in one sentence."
    answer = api.text(Agent(RecordedModel(tmp_path / "tape.json", model), temperature=0, max_tokens=24), question)
    assert "Paris" in answer
    assert answer == Agent(model, temperature=0, max_tokens=24).generate(question)
