"""MCP servers: the thread that owns their sessions, the connections, and what becomes of tools and results."""
