"""LangChain's own tests for chat models, on the real model.

Its fixture `model` is the chat model, not the one of this project's tests.
"""

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("langchain_tests")

from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from luup_agent import Model
from luup_agent.integrations.langchain import ChatLuup
from luup_agent.testing import ScriptedModel, tool_call

pytestmark = pytest.mark.filterwarnings("ignore:Unknown pytest.mark:pytest.PytestUnknownMarkWarning")


@pytest.fixture(scope="module")
def real(model_path):
    with Model.from_local(model_path, threads=1) as loaded:
        yield loaded
        assert loaded.stats().runs_active == 0


@pytest.fixture(autouse=True)
def no_run_left():
    """That of this project's tests needs its `model`."""


class TestUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self):
        return ChatLuup

    @property
    def chat_model_params(self):
        return {"model": ScriptedModel([])}

    @property
    def standard_chat_model_params(self):  # without max_retries and api_key, which only servers have
        return {"temperature": 0, "max_tokens": 100, "timeout": 60, "stop": []}


class TestIntegration(ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _real(self, real):
        TestIntegration.loaded = real

    @property
    def chat_model_class(self):
        return ChatLuup

    @property
    def chat_model_params(self):
        return {"model": self.loaded, "temperature": 0, "max_tokens": 256}

    @property
    def supports_json_mode(self):
        return True

    @pytest.fixture
    def model(self, _real, request):
        return self.chat_model_class(**{**self.chat_model_params, **(getattr(request, "param", None) or {})})

    # SmolLM2 of 135M parameters never ends the string of this call, and does not call a tool for that question. The
    # same tests pass below, where a script is the model.
    @pytest.mark.xfail(reason="the model writes an endless string")
    def test_unicode_tool_call_integration(self, model):
        super().test_unicode_tool_call_integration(model)

    @pytest.mark.xfail(reason="the model calls no tool unless it has to")
    @pytest.mark.parametrize("model", [{}, {"output_version": "v1"}], indirect=True)
    def test_agent_loop(self, model):
        super().test_agent_loop(model)


def test_unicode_in_the_arguments_of_calls():
    calls = [tool_call("unicode_customer", customer_name=name, description="") for name in ("你好啊集团", "こんにちは")]
    ChatModelIntegrationTests.test_unicode_tool_call_integration(
        TestIntegration(), ChatLuup(model=ScriptedModel(calls)), tool_choice=None, force_tool_call=True
    )


@pytest.mark.parametrize("options", [{}, {"output_version": "v1"}])
def test_the_loop_of_an_agent(options):
    model = ScriptedModel([tool_call("get_weather", location="San Francisco, CA"), "It's sunny."])
    ChatModelIntegrationTests.test_agent_loop(TestIntegration(), ChatLuup(model=model, **options))
    assert [message.role for message in model.requests[1].messages] == ["user", "assistant", "tool"]
    model.assert_complete()
