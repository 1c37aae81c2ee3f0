"""Models of one layer and random weights: with the vocabulary of another, and the control tokens of many templates."""

import re

# What templates write as control tokens: <|name|> (also with wide bars), <|name>, <name|>, [NAME], and a few tags.
_MARKER = re.compile(
    r"<\|[^|<>\s{}]{1,40}\|>|<\uff5c[^\uff5c<>\s{}]{1,40}\uff5c>|<\|[a-z_]{2,20}>|<[a-z_]{2,20}\|>|<\|\"\|>"
    r"|\[/?(?:TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|ARGS|CALL_ID|TOOL_CONTENT|SYSTEM_PROMPT|INST|THINK)\]"
    r"|</?(?:tool_call|tool_response|think|seed:tool_call|seed:think|minimax:tool_call|mm:think)>"
    r"|<(?:start|end)_of_turn>|<SPECIAL_\d+>|</s>"
)
_COMPOSED = ("<\uff5chy_eos:opensource\uff5c>",)  # a template that puts the names of its tokens together
_TAG = re.compile(r"</?[a-z_:]+>")

_CONTROL, _USER_DEFINED = 3, 4  # llama_token_type

_NUMBERS = {
    "embedding_length": 32,
    "block_count": 1,
    "feed_forward_length": 64,
    "attention.head_count": 4,
    "attention.head_count_kv": 4,
    "rope.dimension_count": 8,
}


def markers(sources):
    """The control tokens' names in the templates `sources`, sorted."""
    return sorted({match for source in sources for match in _MARKER.findall(source)} | set(_COMPOSED))


def write(gguf, numpy, source, target, names=(), context=8192, closing='"]}'):
    """Writes a model of random weights with the tokenizer of the file `source` and the control tokens `names` besides.

    Tags are user-defined tokens, as in the vocabularies that have them. The model says anything that it is allowed to
    say, about as likely, but likes what has one of `closing`: without that every string would go on to its bound. The
    first number of its state is the same for all tokens, and weighed by that liking.
    """
    fields = gguf.GGUFReader(str(source)).fields

    def values(name):
        field = fields[f"tokenizer.{name}"]
        return [bytes(field.parts[index]) for index in field.data]

    tokens = [text.decode("utf-8") for text in values("ggml.tokens")]
    kinds = [int.from_bytes(kind, "little") for kind in values("ggml.token_type")]
    for name in sorted(set(names) - set(tokens)):
        tokens.append(name)
        kinds.append(_USER_DEFINED if _TAG.fullmatch(name) else _CONTROL)
    writer = gguf.GGUFWriter(str(target), "llama")
    writer.add_uint32("llama.context_length", context)
    for name, number in _NUMBERS.items():
        writer.add_uint32(f"llama.{name}", number)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_string("tokenizer.ggml.pre", values("ggml.pre")[0].decode())
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([text.decode("utf-8") for text in values("ggml.merges")])
    for name in ("bos_token_id", "eos_token_id", "unknown_token_id", "padding_token_id"):
        writer.add_uint32(f"tokenizer.ggml.{name}", int.from_bytes(values(f"ggml.{name}")[0], "little"))
    writer.add_bool("tokenizer.ggml.add_bos_token", False)
    writer.add_bool("tokenizer.ggml.add_space_prefix", False)
    writer.add_string("tokenizer.chat_template", values("chat_template")[0].decode("utf-8"))

    width, wide = _NUMBERS["embedding_length"], _NUMBERS["feed_forward_length"]
    random = numpy.random.default_rng(1)

    def add(name, *shape, scale=1.0, first=None):
        weights = random.standard_normal(shape) * scale
        if first is not None:
            weights[:, 0] = first
        writer.add_tensor(name, weights.astype(numpy.float32))

    likes = [1.5 if any(mark in text for mark in closing) else 0.0 for text in tokens]
    add("token_embd.weight", len(tokens), width, first=3.0)
    add("output.weight", len(tokens), width, scale=0.25, first=numpy.array(likes))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", numpy.ones(width, numpy.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"blk.0.{name}.weight", width, width, scale=0.15)
    for name in ("ffn_gate", "ffn_up"):
        add(f"blk.0.{name}.weight", wide, width, scale=0.15)
    add("blk.0.ffn_down.weight", width, wide, scale=0.15)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
