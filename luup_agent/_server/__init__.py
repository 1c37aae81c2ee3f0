"""The HTTP server: OpenAI's API and the chat page in front of models and agents. Public: `luup_agent.server`."""
