"""Runs that another process can go on with; `luup_agent.durable` has the public names."""
