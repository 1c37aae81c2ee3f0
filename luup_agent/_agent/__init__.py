"""The parts of an `Agent`: history, tools, built-in tools, classification, saving, and the methods that answer."""
