"""Drivers of a run, synchronous and asynchronous: events, tool calls, typed results."""
