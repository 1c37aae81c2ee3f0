"""Many items through one agent: prompts, the file of results, progress, and the drivers (sync, async)."""
