"""Histories in any order, with templates that refuse some: every text is in the prompt, and an answer comes."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luup_agent import Agent, InvalidParamError, Model

STRICT = (
    "Qwen3.5-4B",  # a system message in the middle
    "google-gemma-2-2b-it",  # no system messages, strict turns, tools in our own words
    "mistralai-Ministral-3-14B-Reasoning-2512",  # strict turns, also behind the results of tools
    "meta-llama-Llama-3.1-8B-Instruct",
)


@pytest.fixture(scope="module", params=STRICT)
def strict(request, marked_path, templates):
    source = next(path for path in templates if path.stem == request.param).read_text(encoding="utf-8")
    with Model.from_local(marked_path, chat_template=source, context_size=4096, threads=1) as model:
        yield model


def conversation(roles):
    """Return a history with a text of its own in each message; "call" stands for a call and its result."""
    messages = []
    for number, role in enumerate(roles):
        text = f"text {number} of\n\nthe {role}, <b>as it is</b>"
        if role == "call":
            function = {"name": "look", "arguments": f'{{"place": "place{number}"}}'}
            messages.append(
                {"role": "assistant", "content": "", "tool_calls": [{"id": f"c{number}", "function": function}]}
            )
            messages.append({"role": "tool", "content": text, "tool_call_id": f"c{number}"})
        else:
            messages.append({"role": role, "content": text})
    return messages


def look(place: str) -> str:
    """Looks there."""
    return place


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(["user", "assistant", "system", "call"]), max_size=8),
    st.booleans(),
    st.booleans(),
)
def test_every_text_of_a_history_is_in_the_prompt(strict, roles, with_tools, with_prompt):
    messages = conversation(roles)
    agent = Agent(strict, "Be brief." if with_prompt else None, tools=[look] if with_tools else [], max_tokens=1)
    if not with_prompt and messages and messages[0]["role"] == "system":
        with pytest.raises(InvalidParamError, match="system message"):
            agent.set_history(messages)
        return
    agent.set_history([*agent.get_history(), *messages])
    history = agent.get_history()
    prompt = strict.detokenize(agent._prompt_tokens("the question"))
    texts = [message["content"] for message in messages] + ["the question"] + ["Be brief."] * with_prompt
    # The results of tools may be written as JSON strings.
    assert [text for text in texts if text not in prompt and text.replace("\n", "\\n") not in prompt] == []
    agent.generate("the question", tool_choice="none")
    assert agent.get_history()[: len(history)] == history


def test_what_a_template_takes_is_not_changed(model):
    """The real model's template takes every order."""
    agent = Agent(model, "Be brief.")
    agent.set_history(
        [
            {"role": "user", "content": "One"},
            {"role": "user", "content": "Two"},
            {"role": "system", "content": "Answer in French."},
        ]
    )
    prompt = model.detokenize(agent._prompt_tokens("Three"))
    turns = [
        ("system", "Be brief."),
        ("user", "One"),
        ("user", "Two"),
        ("system", "Answer in French."),
        ("user", "Three"),
    ]
    assert (
        prompt == "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns) + "<|im_start|>assistant\n"
    )


def test_a_folded_history_keeps_its_first_tokens(strict):
    """So the KV cache of the turns before is used again."""
    agent = Agent(strict, "Be brief.")
    agent.set_history([*agent.get_history(), *conversation(["user", "assistant", "user", "system", "assistant"])])
    before = agent._prompt_tokens("One more")
    agent.set_history([*agent.get_history(), {"role": "user", "content": "One more"}, *conversation(["assistant"])])
    after = agent._prompt_tokens("And")
    same = next((i for i, (a, b) in enumerate(zip(before, after)) if a != b), len(before))
    assert same > len(before) - 24
