"""This package's models inside other frameworks: a module for each framework, which needs an extra of its name.

==================  ==================================================  ==============
module              what it has                                         extra
==================  ==================================================  ==============
``pydantic_ai``     `LuupModel`, a model of pydantic-ai                 pydantic-ai
``langchain``       `ChatLuup`, a chat model of LangChain               langchain
``smolagents``      `LuupModel`, a model of smolagents                  smolagents
``openai_agents``   `LuupModelProvider` for OpenAI's Agents SDK         openai-agents
``llm``             the models of the program ``llm``                   llm
``dbos``            `DBOSRun`, a durable run in a workflow of DBOS      dbos
==================  ==================================================  ==============

All but the last share a `luup_agent.Model`: agents of several frameworks that run at the same time are decoded
together.
"""
