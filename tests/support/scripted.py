"""Models that answer with a script, of several kinds."""

from luup_agent import Agent, Model
from luup_agent.testing import FunctionModel, ScriptedModel
from support.http_server import Server, replying


class Scripted:
    """One kind of model that answers with a script."""

    def __init__(self, kind):
        self.kind = kind
        self.servers = []

    def model(self, *replies):
        if self.kind == "scripted":
            return ScriptedModel(list(replies))
        if self.kind == "function":
            rest = list(replies)
            return FunctionModel(lambda request: rest.pop(0))
        self.servers.append(Server(*replying(*replies)))
        return Model.from_remote(self.servers[-1].url, "qwen3", timeout=30)

    def agent(self, *replies, **options):
        return Agent(self.model(*replies), **options)

    def close(self):
        for server in self.servers:
            server.close()
