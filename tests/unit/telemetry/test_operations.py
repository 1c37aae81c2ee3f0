"""Spans and metrics of embedders and of the scores of labels."""

import asyncio

import pytest

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("numpy")
pytest.importorskip("gguf")

import gguf
import numpy
from support import bert

from luup_agent import Agent, Embedder, InvalidParamError, telemetry

TEXTS = ["hello", "world hello"]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    path = tmp_path_factory.mktemp("bert") / "tiny-bert.gguf"
    bert.write(gguf, numpy, bert.random_bert(numpy, ["hello", "world"]), path)
    with Embedder.from_local(path, threads=1) as opened:
        yield opened


@pytest.fixture(params=["sync", "async"])
def embed(embedder, request):
    """Makes vectors, or ranks documents, in one of two ways."""

    def call(name, *arguments, **options):
        if request.param == "sync":
            return getattr(embedder, name)(*arguments, **options)

        async def main():
            return await getattr(embedder, name + "_async")(*arguments, **options)

        return asyncio.run(main())

    return call


def test_vectors(collected, embed):
    with collected.tracer.start_as_current_span("search"):
        vectors = embed("embed", TEXTS)
    span = collected.span("embeddings")
    assert span.name == "embeddings tiny-bert"
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.request.model": "tiny-bert",
        "gen_ai.provider.name": "luup_agent",
        "gen_ai.usage.input_tokens": sum(vectors.tokens),
        "gen_ai.embeddings.dimension.count": vectors.dimensions,
    }
    assert collected.children(collected.span("search")) == ["embeddings tiny-bert"]
    ((attributes, point),) = collected.points("gen_ai.client.token.usage")
    assert (attributes["gen_ai.token.type"], point.sum) == ("input", sum(vectors.tokens))
    ((attributes, point),) = collected.points("gen_ai.client.operation.duration")
    assert (attributes["gen_ai.operation.name"], point.count) == ("embeddings", 1)


def test_ranks(collected, embed):
    assert len(embed("rerank", "hello", TEXTS)) == 2
    span = collected.span("rerank")
    assert span.attributes["gen_ai.usage.input_tokens"] > 3
    assert "gen_ai.embeddings.dimension.count" not in span.attributes


def test_an_error(collected, embed):
    with pytest.raises(ZeroDivisionError):
        embed("embed", TEXTS * 2000, on_progress=lambda done, total: 1 / 0)
    span = collected.span("embeddings")
    assert span.attributes["error.type"] == "ZeroDivisionError"
    assert not span.status.is_ok
    with pytest.raises(InvalidParamError):
        embed("embed", "not a list")


def test_labels(collected, tiny_model):
    agent = Agent(tiny_model)
    agent.classify("fine", ["good", "bad"])
    spans = collected.spans("classify")
    assert len(spans) == 2  # the text, and "N/A" for the model's bias
    assert all(span.attributes["gen_ai.usage.input_tokens"] > 10 for span in spans)
    asyncio.run(agent.classify_async("better", ["good", "bad"]))
    agent.classify_many(["one", "two"], ["good", "bad"]).all()
    assert len(collected.spans("classify")) == 5
    with pytest.raises(InvalidParamError):
        agent.classify(" ", ["good", "bad"])
    assert len(collected.spans("classify")) == 5


def test_labels_that_are_not_found_in_time(collected, tiny_model):
    with pytest.raises(TimeoutError):
        Agent(tiny_model).classify("word " * 4000, ["good", "bad"], timeout=0.001)
    (span,) = collected.spans("classify")
    assert span.attributes["error.type"] == "_OTHER"


def test_some_agents_only(collected, embedder, tiny_model):
    collected.instrument(only=lambda agent: True)
    embedder.embed(TEXTS)
    Agent(tiny_model).classify("fine", ["good", "bad"])
    assert collected.spans() == []
    telemetry.uninstrument()
    embedder.embed(TEXTS)
    assert collected.spans() == []
