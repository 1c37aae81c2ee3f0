"""Vectors and ranks of tiny models of random weights, which a forward pass in numpy computes too."""

import asyncio
import os
import pickle
import random
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import bert

import luup_agent
from luup_agent import (
    ClosedError,
    ContextFullError,
    Embedder,
    InferenceError,
    InvalidParamError,
    ModelLoadError,
    ModelNotFoundError,
    UnsupportedError,
    Vectors,
)

gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")

WORDS = ["cat", "kitten", "sleeps", "naps", "rates", "rise", "##ing", "bank", "river"]
TEXTS = ["The cat sleeps.", "a kitten naps", "rates rising", "", "Zürich, 1912!", "river bank " * 9, "CAT"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Makes a file of the random model with other settings."""
    folder = tmp_path_factory.mktemp("bert")

    def make(name="plain", rank=False, **options):
        path = folder / f"{name}.gguf"
        if not path.exists():
            if rank:
                options["pooling"] = bert.RANK
            bert.write(gguf, numpy, bert.random_bert(numpy, WORDS, rank=rank), path, **options)
        return path

    return make


@pytest.fixture(scope="module")
def embedder(files):
    with Embedder.from_local(files(), threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def ranker(files):
    with Embedder.from_local(files("rank", rank=True), threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def reference():
    return bert.Reference(numpy, bert.random_bert(numpy, WORDS, rank=True))


def matrix(vectors):
    return numpy.asarray(vectors)


def near(found, wanted):
    return numpy.abs(matrix(found) - wanted).max() < 2e-3


# The values


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_vectors_are_those_of_the_reference(files, reference, pooling):
    number = {"mean": bert.MEAN, "cls": bert.CLS, "last": bert.LAST}[pooling]
    for path, chosen in ((files(pooling, pooling=number), None), (files("none", pooling=None), pooling)):
        with Embedder.from_local(path, threads=1, pooling=chosen) as loaded:
            assert loaded.get_info().pooling == pooling
            vectors = loaded.embed(TEXTS)
            assert near(vectors, reference.embed(TEXTS, number))
            assert vectors.tokens == [len(reference.tokenizer.tokens(text)) for text in TEXTS]


@settings(max_examples=20)
@given(
    st.lists(st.lists(st.sampled_from([*WORDS[:6], "7", "[SEP]", "é", "!"]), max_size=30), max_size=90), st.booleans()
)
def test_any_list_of_texts_gives_a_vector_each_in_its_order(embedder, reference, lists, normalize):
    texts = [" ".join(words) for words in lists]
    vectors = embedder.embed(texts, truncate=True, normalize=normalize)
    assert len(vectors) == len(texts)
    for text, vector, count in zip(texts, vectors, vectors.tokens):
        assert count == min(len(reference.tokenizer.tokens(text)), 64)
        if count < 64:
            wanted = reference.embed([text])[0]
            length = float(numpy.linalg.norm(numpy.array(vector)))
            assert (abs(length - 1) < 1e-4) if normalize else length > 1.5
            assert numpy.abs(numpy.array(vector) / length - wanted).max() < 2e-3


def test_batches_of_any_size_give_the_same_vectors(files, embedder):
    texts = [" ".join(random.Random(seed).choices(WORDS[:6], k=seed % 40)) for seed in range(200)]
    wanted = matrix(embedder.embed(texts))
    for batch_size in (32, 33, 4096):
        with Embedder.from_local(files(), threads=2, batch_size=batch_size) as other:
            assert near(other.embed(texts), wanted)


def test_names_of_control_tokens_are_text(embedder):
    assert embedder.count_tokens("[SEP]") == 2 + len("[sep]")
    assert embedder.count_tokens("") == 2


# The container


def test_vectors_are_a_sequence_of_arrays(embedder):
    vectors = embedder.embed(TEXTS)
    assert isinstance(vectors, Vectors)
    assert (len(vectors), vectors.dimensions, len(vectors[0])) == (len(TEXTS), 32, 32)
    assert vectors[-1] == vectors[len(TEXTS) - 1] == list(vectors)[-1]
    assert vectors.tolist()[1] == list(vectors[1])
    assert vectors[1:3][0] == vectors[1]
    assert vectors[1:3].tokens == vectors.tokens[1:3]
    assert vectors.usage == sum(vectors.tokens)
    assert pickle.loads(pickle.dumps(vectors)) == vectors == embedder.embed(TEXTS)
    assert vectors != vectors[1:]
    assert vectors != vectors.tolist()
    assert repr(vectors) == f"<Vectors {len(TEXTS)} of 32 numbers>"
    with pytest.raises(IndexError):
        vectors[len(TEXTS)]


def test_numpy_shares_the_memory(embedder):
    vectors = embedder.embed(TEXTS)
    rows = numpy.asarray(vectors)
    assert (rows.shape, rows.dtype) == ((len(TEXTS), 32), numpy.float32)
    rows[2, 3] = 42
    assert vectors[2][3] == 42
    assert numpy.asarray(embedder.embed([])).shape == (0, 32)


# Wrong input


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ("one text", "must be a list of str, not a str; for one text write"),
        (b"bytes", "not a bytes"),
        ({"a": 1}, "not a dict"),
        (None, "not NoneType"),
        (5, "not int"),
        (["a", 5], r"texts\[1\] must be a str, not int"),
        (["a", None], r"texts\[1\] must be a str, not NoneType"),
        (["a\0b"], r"texts\[0\] has a NUL"),
        (["\ud800"], r"texts\[0\] has a lone surrogate"),
    ],
)
def test_wrong_texts_are_refused_by_name(embedder, texts, words):
    with pytest.raises(InvalidParamError, match=words):
        embedder.embed(texts)
    assert len(embedder.embed(iter(["a", "b"]))) == 2


def test_other_wrong_arguments(embedder, files):
    for options in ({"normalize": 1}, {"truncate": "yes"}, {"on_progress": 5}):
        with pytest.raises(InvalidParamError, match=next(iter(options))):
            embedder.embed(["a"], **options)
    for options in (
        {"context_size": 65},
        {"context_size": 7},
        {"context_size": "64"},
        {"batch_size": 31},
        {"threads": 513},
        {"pooling": "rank"},
        {"pooling": 1},
        {"devices": ["no such device"]},
        {"on_progress": 5},
    ):
        with pytest.raises((InvalidParamError, luup_agent.BackendInitError), match=next(iter(options))[:-1]):
            Embedder.from_local(files(), **options)
    with pytest.raises(ModelNotFoundError, match="Embedder.from_hub"):
        Embedder.from_local("owner/repo")
    with pytest.raises(TypeError, match="from_local"):
        Embedder("x.gguf")
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(embedder)


def test_a_text_that_is_too_long_is_named_or_truncated_when_asked(embedder, files, reference):
    long = "cat " * 70
    with pytest.raises(ContextFullError, match=r"texts\[1\] has 72 tokens, and the model reads at most 64"):
        embedder.embed(["cat", long])
    vectors = embedder.embed(["cat", long], truncate=True)
    assert vectors.tokens == [3, 64]
    assert near(vectors, reference.embed(["cat", "cat " * 62]))
    with Embedder.from_local(files(), threads=1, context_size=10) as small:
        assert small.get_info().context_size == 10
        with pytest.raises(ContextFullError, match=r"texts\[0\] has 11 tokens, and the model reads at most 10"):
            small.embed(["cat " * 9])
        assert near(small.embed(["cat " * 9], truncate=True), reference.embed(["cat " * 8]))


def test_a_result_that_is_not_a_number_is_an_error(tmp_path):
    model = bert.random_bert(numpy, WORDS)
    name = "embeddings.word_embeddings.weight"
    weights = model.tensors[name].copy()
    weights[model.vocabulary.index("cat")] = numpy.nan
    bert.write(gguf, numpy, model, tmp_path / "nan.gguf", changed={name: weights})
    with Embedder.from_local(tmp_path / "nan.gguf", threads=1) as damaged:
        assert len(damaged.embed(["kitten"])) == 1
        with pytest.raises(InferenceError, match="result for text 1 is not a number"):
            damaged.embed(["kitten", "cat"])
        assert len(damaged.embed(["kitten"])) == 1


# Models


def test_a_model_without_a_pooling_needs_the_users_choice(files, tiny_path):
    for path in (files("none", pooling=None), files("zero", pooling=0), tiny_path):
        with pytest.raises(ModelLoadError, match='Choose a pooling to use it anyway: "mean", "cls" or "last"'):
            Embedder.from_local(path)


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_a_model_that_generates_text_makes_vectors_if_asked(tiny_path, pooling):
    texts = ["The capital of France is Paris.", "Hi", "The capital of France is Paris."] * 40
    with Embedder.from_local(tiny_path, threads=1, pooling=pooling, context_size=512) as generator:
        vectors = generator.embed(texts)
        assert vectors[0] == pytest.approx(vectors[2], abs=1e-3)
        assert vectors[0] == pytest.approx(vectors[-1], abs=1e-3)
        assert vectors[0] != pytest.approx(vectors[1], abs=1e-2)
        assert generator.embed(["Hi"])[0] == pytest.approx(vectors[1], abs=1e-3)
        with pytest.raises(InvalidParamError, match=r"texts\[1\] has no tokens"):
            generator.embed(["a", ""])


@pytest.mark.parametrize("number", [5, 99, 2**31])
def test_an_unknown_pooling_of_a_file_is_refused(files, number):
    with pytest.raises(ModelLoadError, match="can't be loaded"):
        Embedder.from_local(files(f"pooling{number}", pooling=number))


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(ModelLoadError, match="not a GGUF file"):
        Embedder.from_local(tmp_path / "text.gguf")
    with pytest.raises(ModelNotFoundError, match="there is no file"):
        Embedder.from_local(tmp_path / "nothing.gguf")


def test_a_description(embedder, files):
    info = embedder.get_info()
    assert (info.dimensions, info.context_size, info.architecture, info.layers) == (32, 64, "bert", 2)
    assert info.memory_context == 0
    assert info.memory_weights > 0
    assert repr(embedder).startswith("<Embedder 'plain.gguf' bert")
    seen = []
    with Embedder.from_local(files(), on_progress=seen.append) as other:
        assert seen[-1] == 1.0
    assert other.closed
    assert repr(other).endswith(", closed>")
    assert other.get_info().dimensions == 32


# Ranks


def test_a_ranking_model_scores_like_the_reference(ranker, reference):
    documents = ["a kitten naps", "rates rise", "", "The cat sleeps!", "river bank " * 9]
    ranked = ranker.rerank("cat?", documents)
    wanted = [reference.score("cat?", document) for document in documents]
    assert [each.index for each in ranked] == sorted(range(5), key=lambda index: -wanted[index])
    for each in ranked:
        assert each.score == pytest.approx(wanted[each.index], abs=2e-2)
        assert each.document == documents[each.index]
    assert ranker.rerank("cat?", iter(documents), top=2) == ranked[:2]
    assert ranker.rerank("cat?", []) == []
    with pytest.raises(UnsupportedError, match="use it to rerank"):
        ranker.embed(["cat"])
    with pytest.raises(InvalidParamError, match="its pooling can't be changed"):
        Embedder.from_local(ranker.get_info().path, pooling="mean")


def test_a_ranking_models_long_documents_are_named_or_truncated_when_asked(ranker, reference):
    documents = ["cat", "kitten " * 70]
    with pytest.raises(ContextFullError, match=r"documents\[1\] has 74 tokens, and the model reads at most 64"):
        ranker.rerank("cat", documents)
    scores = {each.index: each.score for each in ranker.rerank("cat", documents, truncate=True)}
    assert scores[1] == pytest.approx(reference.score("cat", "kitten " * 60), abs=2e-2)
    with pytest.raises(ContextFullError, match=r"query has 73 tokens, and the model reads at most 64"):
        ranker.rerank("cat " * 70, documents, truncate=True)


def test_a_template_of_the_file_lays_out_query_and_document(files, reference):
    template = "[CLS]{query}[SEP]{document}[SEP]"
    with Embedder.from_local(files("template", rank=True, template=template), threads=1) as templated:
        documents = ["a kitten naps", "[SEP] rates {query} rise"]
        scores = {each.index: each.score for each in templated.rerank("the cat", documents)}
        for index, document in enumerate(documents):
            assert scores[index] == pytest.approx(reference.score("the cat", document), abs=2e-2)
        with pytest.raises(ContextFullError, match=r"documents\[0\] has 74 tokens"):
            templated.rerank("cat", ["kitten " * 70])
        cut = templated.rerank("cat", ["kitten " * 70], truncate=True)[0].score
        assert cut == pytest.approx(reference.score("cat", "kitten " * 60), abs=2e-2)


def test_other_models_rank_by_the_cosine(embedder):
    documents = ["a kitten naps", "rates rise", "cat"]
    vectors = matrix(embedder.embed(["cat", *documents]))
    wanted = vectors[1:] @ vectors[0]
    ranked = embedder.rerank("cat", documents)
    assert ranked[0].index == 2
    assert ranked[0].score == pytest.approx(1, abs=1e-3)
    assert {each.index: each.score for each in ranked} == pytest.approx(dict(enumerate(wanted)), abs=1e-3)
    assert embedder.rerank("cat", []) == []
    with pytest.raises(ContextFullError, match=r"documents\[0\] has 72 tokens"):
        embedder.rerank("cat", ["cat " * 70])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((5, ["a"]), "query must be a str"),
        (("a", "b"), "documents must be a list of str"),
        (("a", None), "documents must be a list of str"),
        (("a", ["b", 5]), r"documents\[1\] must be a str"),
        (("a", ["b"], 0), "top"),
        (("a", ["b"], True), "top"),
    ],
)
def test_wrong_arguments_of_rerank(embedder, arguments, words):
    options = {"top": arguments[2]} if len(arguments) > 2 else {}
    with pytest.raises(InvalidParamError, match=words):
        embedder.rerank(*arguments[:2], **options)


# Threads, tasks and processes


def many(count=20000):
    return ["cat sleeps while rates rise again"] * count


def test_an_exception_of_on_progress_ends_the_call(embedder):
    seen = []

    def watch(done, total):
        seen.append((done, total))
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        embedder.embed(["cat"], on_progress=watch)
    assert seen == [(0, 1)]
    assert len(embedder.embed(["cat"], on_progress=lambda done, total: None)) == 1


def test_threads_take_turns(embedder):
    """A long call does not keep short ones waiting until it is done."""
    ended = []

    def work(texts, name):
        vectors = embedder.embed(texts)
        assert len(vectors) == len(texts)
        ended.append(name)

    long = threading.Thread(target=work, args=(many(), "long"))
    long.start()
    for _ in range(5):
        work(["cat"], "short")
    long.join()
    assert ended.index("long") > 0


def test_close_ends_a_call(files):
    loaded = Embedder.from_local(files(), threads=1)
    failures = []

    def work():
        try:
            while True:
                loaded.embed(many())
        except ClosedError as error:
            failures.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    time.sleep(0.3)
    begin = time.monotonic()
    loaded.close()
    worker.join(10)
    assert time.monotonic() - begin < 5
    assert len(failures) == 1
    loaded.close()
    for call in (loaded.embed, lambda texts: loaded.rerank("a", texts), lambda texts: loaded.count_tokens(texts[0])):
        with pytest.raises(ClosedError):
            call(["cat"])


@pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")
def test_ctrl_c_ends_a_call(child, files):
    source = """
        import os, signal, sys, threading, time
        from luup_agent import Embedder
        embedder = Embedder.from_local(sys.argv[1], threads=1)
        times = []
        def interrupt():
            time.sleep(0.5)
            times.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt).start()
        try:
            embedder.embed(["cat sleeps while rates rise again"] * 1000000)
        except KeyboardInterrupt:
            print("interrupted", time.monotonic() - times[0])
        print(len(embedder.embed(["cat"])))
    """
    result = child(source, files())
    assert result.returncode == 0, result.stderr
    word, seconds, after = result.stdout.split()
    assert (word, after) == ("interrupted", "1")
    assert float(seconds) < 3  # a part of a second, but many wait for this machine's processors


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_forked_child_is_told(child, files):
    source = """
        import os, sys
        from luup_agent import Embedder, ForkedError
        embedder = Embedder.from_local(sys.argv[1], threads=1)
        embedder.embed(["cat"])
        if os.fork() == 0:
            for call in (embedder.embed, lambda texts: embedder.rerank("a", texts), lambda _: embedder.get_info()):
                try:
                    call(["cat"])
                except ForkedError:
                    print("forked", flush=True)
            embedder.close()
            del embedder
            with Embedder.from_local(sys.argv[1], threads=1) as other:
                print(len(other.embed(["cat"])), flush=True)
            sys.exit()
        os.wait()
        print(len(embedder.embed(["cat"])))
    """
    result = child(source, files())
    assert (result.returncode, result.stdout.split()) == (0, ["forked", "forked", "forked", "1", "1"]), result.stderr


async def test_the_async_twins_give_the_same(embedder, ranker):
    vectors, ranked = await asyncio.gather(embedder.embed_async(TEXTS), ranker.rerank_async("cat", TEXTS, top=2))
    assert vectors == embedder.embed(TEXTS)
    assert ranked == ranker.rerank("cat", TEXTS, top=2)
    with pytest.raises(InvalidParamError, match=r"texts\[0\]"):
        await embedder.embed_async([5])
    with pytest.raises(ContextFullError, match=r"texts\[0\]"):
        await embedder.embed_async(["cat " * 99])
    many_calls = await asyncio.gather(*(embedder.embed_async([text]) for text in TEXTS))
    assert near([list(each[0]) for each in many_calls], matrix(vectors))


async def test_a_cancelled_task_ends_its_call_and_the_loop_runs_meanwhile(embedder):
    task = asyncio.ensure_future(embedder.embed_async(many(200000)))
    begin = time.monotonic()
    await asyncio.sleep(0.3)
    assert time.monotonic() - begin < 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await embedder.embed_async(["cat"])) == 1
    assert time.monotonic() - begin < 10


def test_async_needs_a_loop(embedder):
    coroutine = embedder.embed_async(["a"])
    with pytest.raises(UnsupportedError, match="asyncio"):
        coroutine.send(None)
