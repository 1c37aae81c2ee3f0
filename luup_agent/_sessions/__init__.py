"""Conversations in databases; `luup_agent.sessions` has the public names."""
