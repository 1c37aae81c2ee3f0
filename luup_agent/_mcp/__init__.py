"""MCP servers: the thread that owns their sessions, the connections, and the conversion of tools and results."""
