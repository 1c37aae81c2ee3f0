"""Tools of other frameworks as tools of this package, for `Tool.from_langchain` and `Tool.from_pydantic_ai`.

`import_module` keeps programs that PyInstaller makes from containing frameworks that they don't use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Dict

from pydantic import ValidationError

from luup_agent._run.typed_output import explain
from luup_agent._tools.context import ModelRetry
from luup_agent.errors import InvalidParamError
from luup_agent.integrations._shared import missing
from luup_agent.tools import AnyTool, Tool


def from_langchain(tool: Any, options: Dict[str, Any]) -> AnyTool:
    """Return a tool that invokes a tool of LangChain."""
    try:
        langchain = import_module("langchain_core.tools")
        schemas = import_module("langchain_core.utils.function_calling")
    except ImportError as error:
        raise missing("langchain", error) from error
    if not isinstance(tool, langchain.BaseTool):
        raise InvalidParamError(f"tool must be a tool of LangChain, not {type(tool).__name__}")
    definition = schemas.convert_to_openai_tool(tool)["function"]
    parameters = definition.get("parameters") or {"type": "object", "properties": {}}
    hidden = set(getattr(tool.args_schema, "model_fields", {})) - set(parameters.get("properties", {}))
    if hidden:
        raise InvalidParamError(
            f"the tool {tool.name!r} of LangChain can't be used: its agent fills in {', '.join(sorted(hidden))}"
        )

    def call(**arguments: Any) -> Any:
        try:
            return tool.invoke(arguments)
        except (ValidationError, langchain.ToolException) as error:
            raise _retry(error) from error

    async def call_async(**arguments: Any) -> Any:
        try:
            return await tool.ainvoke(arguments)
        except (ValidationError, langchain.ToolException) as error:
            raise _retry(error) from error

    only_async = getattr(tool, "coroutine", None) is not None and getattr(tool, "func", None) is None
    given = {"name": tool.name, "description": definition["description"], "parameters": parameters}
    return Tool(call_async if only_async else call, **{**given, **options})


def from_pydantic_ai(tool: Any, options: Dict[str, Any]) -> AnyTool:
    """Return a tool that calls a tool of pydantic-ai."""
    try:
        pydantic_ai = import_module("pydantic_ai")
    except ImportError as error:
        raise missing("pydantic-ai", error) from error
    if not isinstance(tool, pydantic_ai.Tool):
        raise InvalidParamError(f"tool must be a tool of pydantic-ai, not {type(tool).__name__}")
    if tool.takes_ctx:
        raise InvalidParamError(
            f"the tool {tool.name!r} of pydantic-ai can't be used: it takes the RunContext of a run of pydantic-ai"
        )
    schema = tool.function_schema
    context: Any = None  # for tools that take none

    async def call(**arguments: Any) -> Any:
        try:
            found = await schema.call(schema.validator.validate_python(arguments), context)
        except (ValidationError, pydantic_ai.ModelRetry) as error:
            raise _retry(error) from error
        return found.return_value if isinstance(found, pydantic_ai.ToolReturn) else found

    given = {
        "name": tool.name,
        "description": tool.description or "",
        "parameters": schema.json_schema,
        "timeout": tool.timeout,
        "retries": tool.max_retries,
        "requires_approval": tool.requires_approval,
    }
    return Tool(call, **{**given, **options})


def _retry(error: Exception) -> ModelRetry:
    return ModelRetry(explain(error) if isinstance(error, ValidationError) else str(error))
