"""Several frameworks at once on one model, and frameworks that are not installed."""

import asyncio
import subprocess
import sys

import pytest

MODULES = {
    "pydantic_ai": ("pydantic_ai", "pydantic-ai"),
    "langchain": ("langchain_core", "langchain"),
    "smolagents": ("smolagents", "smolagents"),
    "openai_agents": ("agents", "openai-agents"),
    "llm": ("llm", "llm"),
}


@pytest.mark.parametrize("module", [*sorted(MODULES), "dbos"])
def test_a_missing_framework_is_named_with_the_command_that_installs_it(module):
    framework, extra = MODULES.get(module, (module, module))
    source = f"""
import sys
sys.modules[{framework!r}] = None  # as if it were not installed
import luup_agent
for error in (ImportError, luup_agent.UnsupportedError):
    try:
        import luup_agent.integrations.{module}
    except error as caught:
        assert 'pip install "luup-agent[{extra}]"' in str(caught), caught
        assert {framework!r} in str(caught), caught
    else:
        raise AssertionError("no error")
"""
    result = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("method", "framework", "extra"), [
    ("from_langchain", "langchain_core", "langchain"),
    ("from_pydantic_ai", "pydantic_ai", "pydantic-ai"),
])  # fmt: skip
def test_a_missing_framework_of_a_tool(method, framework, extra, monkeypatch):
    from luup_agent import Tool, UnsupportedError

    for name in [each for each in sys.modules if each.partition(".")[0] == framework]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, framework, None)
    with pytest.raises(UnsupportedError, match=rf"luup-agent\[{extra}\]"):
        getattr(Tool, method)(None)


def test_the_package_imports_no_framework():
    source = "import sys, luup_agent; luup_agent.Agent; print([m for m in {} if m in sys.modules])"
    names = [framework for framework, _ in MODULES.values()]
    result = subprocess.run(
        [sys.executable, "-c", source.format(names)], capture_output=True, text=True, timeout=120, check=True
    )
    assert result.stdout == "[]\n"


async def test_agents_of_all_frameworks_share_batches(model):
    for framework, _ in MODULES.values():
        pytest.importorskip(framework)
    import agents
    import pydantic_ai
    from smolagents.models import ChatMessage, MessageRole

    from luup_agent import Agent
    from luup_agent.integrations import langchain, llm, openai_agents, smolagents
    from luup_agent.integrations import pydantic_ai as ours

    greedy = {"temperature": 0, "max_tokens": 48}
    question = "Tell me about the number {}."
    pydantic_agent = pydantic_ai.Agent(ours.LuupModel(model, settings=greedy))
    chat = langchain.ChatLuup(model=model, **greedy)
    smol = smolagents.LuupModel(model, **greedy)
    config = agents.RunConfig(model_provider=openai_agents.LuupModelProvider(model, **greedy), tracing_disabled=True)
    luup = llm.AsyncLuupModel("test", model)
    own = Agent(model, enable_history=False, **greedy)

    async def ask_pydantic_ai(number):
        return (await pydantic_agent.run(question.format(number))).usage.output_tokens

    async def ask_langchain(number):
        return (await chat.ainvoke(question.format(number))).usage_metadata["output_tokens"]

    async def ask_smolagents(number):
        content = [{"type": "text", "text": question.format(number)}]
        messages = [ChatMessage(role=MessageRole.USER, content=content)]
        return (await asyncio.to_thread(smol.generate, messages)).token_usage.output_tokens

    async def ask_agents(number):
        result = await agents.Runner.run(agents.Agent("a"), question.format(number), run_config=config)
        return result.context_wrapper.usage.output_tokens

    async def ask_llm(number):
        response = luup.prompt(question.format(number), **greedy)
        await response.text()
        return (await response.usage()).output

    async def ask_ours(number):
        return (await own.run_async(question.format(number))).usage.completion_tokens

    askers = [ask_pydantic_ai, ask_langchain, ask_smolagents, ask_agents, ask_llm, ask_ours]
    before = model.stats().batches
    counts = await asyncio.gather(*[ask(3 * number + place) for place, ask in enumerate(askers) for number in range(3)])
    assert all(count > 8 for count in counts)
    assert model.stats().batches - before < sum(counts) / 3
