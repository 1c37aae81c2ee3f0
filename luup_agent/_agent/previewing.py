"""The methods of `Agent` that show a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, cast

from typing_extensions import Unpack

from luup_agent._agent.state import AgentState
from luup_agent.media import Content
from luup_agent.settings import RunOptions

if TYPE_CHECKING:
    from luup_agent.agent import Agent
    from luup_agent.turns import Prompt


class Previewing(AgentState):
    """Methods of `Agent` that show a prompt."""

    def prompt(self, message: Optional[Content], *, output_type: Any = None, **options: Unpack[RunOptions]) -> Prompt:
        """Return the exact prompt that the model would get first if `run` had these arguments.

        Made in the same way as a run's: system prompt, tools, history, message, what the chat template adds, and the
        request for a typed result. Nothing is asked, and the history, the KV cache and the server are left alone; only
        toolsets are asked for their tools. The prompt may be larger than the context; a run would then summarize first,
        or fail. A fallback shows the prompt of its first model that takes it.

        Args:
            message: The user's message. None shows the prompt that answers the history as it is.
            output_type: As for `run`.
            **options: Settings, see `RunOptions`.

        Returns:
            The prompt. For a remote model its text is the body of the request, without the key.

        Raises:
            LuupError: As `run`, but no `BusyError` and no `ContextFullError`: an agent that answers a message shows the
                prompt that would follow its history, which that message is not in yet.
            InvalidParamError: Also if calls at the end of the history wait for their results.

        Example:
            >>> print(agent.prompt("What is the capital of France?"))
            <|im_start|>system
            You are a helpful assistant.<|im_end|>
            <|im_start|>user
            What is the capital of France?<|im_end|>
            <|im_start|>assistant
            <BLANKLINE>
        """
        return cast("Agent[Any, Any]", self)._new_run("prompt", message, options, output_type).preview()

    async def prompt_async(
        self, message: Optional[str], *, output_type: Any = None, **options: Unpack[RunOptions]
    ) -> Prompt:
        """Do the same as `prompt`, under asyncio: with asynchronous toolsets and hooks, and without blocking the loop.

        Args:
            message: As for `prompt`.
            output_type: As for `run`.
            **options: As for `prompt`.

        Returns:
            The prompt.

        Raises:
            LuupError: As `prompt`.

        Example:
            >>> prompt = await agent.prompt_async("What is the capital of France?")
        """
        import asyncio

        run = cast("Agent[Any, Any]", self)._new_run("prompt_async", message, options, output_type)
        await run.fetch_tools()
        return await asyncio.get_running_loop().run_in_executor(None, run.preview)
