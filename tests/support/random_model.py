"""Small models of random weights, with the vocabulary of another model and the markers of templates."""

import functools
import re

# Control tokens as templates write them: <|name|> (also with wide bars), <|name>, <name|>, [NAME], and a few tags.
_MARKER = re.compile(
    r"<\|[^|<>\s{}]{1,40}\|>|<\uff5c[^\uff5c<>\s{}]{1,40}\uff5c>|<\|[a-z_]{2,20}>|<[a-z_]{2,20}\|>|<\|\"\|>"
    r"|\[/?(?:TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|ARGS|CALL_ID|TOOL_CONTENT|SYSTEM_PROMPT|INST|THINK)\]"
    r"|</?(?:tool_call|tool_response|think|seed:tool_call|seed:think|minimax:tool_call|mm:think)>"
    r"|<(?:start|end)_of_turn>|<SPECIAL_\d+>|</s>"
)
_COMPOSED = ("<\uff5chy_eos:opensource\uff5c>",)  # a template that puts the names of its tokens together
_TAG = re.compile(r"</?[a-z_:]+>")

_CONTROL, _USER_DEFINED = 3, 4  # llama_token_type

WIDTH, WIDE = 32, 64
HEADS, HEAD = 4, 8
WINDOW = 64  # tokens that the sliding layers of a "gemma3" see
_IDLE = 8192  # the width of layers that only take time
_INNER, _STATE, _RANK, _KERNEL = 2 * WIDTH, 8, 4, 4  # of "mamba"

_ATTENTION = {
    "feed_forward_length": WIDE,
    "attention.head_count": HEADS,
    "attention.head_count_kv": HEADS,
    "rope.dimension_count": HEAD,
}
_NUMBERS = {
    "llama": {"block_count": 1, **_ATTENTION},
    "qwen2vl": {"block_count": 1, **_ATTENTION},  # with M-RoPE
    "gemma3": {  # five layers with a sliding window, one without
        "block_count": 6,
        **_ATTENTION,
        "attention.key_length": HEAD,
        "attention.value_length": HEAD,
        "attention.sliding_window": WINDOW,
    },
    "mamba": {
        "block_count": 2,
        "feed_forward_length": 0,
        "attention.head_count": 0,
        "ssm.conv_kernel": _KERNEL,
        "ssm.inner_size": _INNER,
        "ssm.state_size": _STATE,
        "ssm.time_step_rank": _RANK,
    },
}


def markers(sources):
    """Return the names of the control tokens in the templates `sources`, sorted."""
    return sorted({match for source in sources for match in _MARKER.findall(source)} | set(_COMPOSED))


@functools.lru_cache(maxsize=4)  # reading it takes longer than all the rest
def _vocabulary(gguf, source):
    fields = gguf.GGUFReader(str(source)).fields
    return {
        name: [bytes(field.parts[index]) for index in field.data]
        for name, field in fields.items()
        if name.startswith("tokenizer.")
    }


def write(
    gguf,
    numpy,
    source,
    target,
    names=(),
    context=8192,
    closing='"]}',
    kind="llama",
    pre=None,
    per_file=0,
    heads=HEADS,
    added=None,
    idle=0,
    experts=0,
    template=None,
):
    """Write a model of random weights with the tokenizer of the file `source` and the control tokens `names` besides.

    Its kind: "llama" has one layer, "qwen2vl" positions in planes, "gemma3" sliding windows, "mamba" one state for all
    that it read.

    A "llama" has `heads` heads, which share its width. `pre` names another pre-tokenizer than the source's. With
    `per_file`, so many tensors are in each file of a split model, whose names have the numbers of the parts.

    `added` has numbers to add to tensors by their names. A "llama" may have `idle` layers besides, which change nothing
    and take long: the answers are those of a model without them.

    With `experts`, the layer of a "llama" has so many, of which each token uses two; their weights are of
    the type Q8_0. `template` is another chat template than the source's.

    Tags are user-defined tokens, as in the vocabularies that have them. The model says anything that it is allowed to
    say, about as likely, but likes what has one of `closing`: without that every string would go on to its bound. The
    first number of its state is the same for all tokens, and weighed by that liking.
    """
    writer = gguf.GGUFWriter(str(target), kind, split_max_tensors=per_file)
    numbers = {"context_length": context, "embedding_length": WIDTH, **_NUMBERS[kind]}
    if heads != HEADS:
        shares = {"head_count": heads, "head_count_kv": heads}
        numbers.update({f"attention.{name}": share for name, share in shares.items()})
        numbers["rope.dimension_count"] = WIDTH // heads
    if idle:
        numbers["block_count"] = 1 + idle
        numbers["feed_forward_length"] = _IDLE
    if experts:
        numbers.update({"expert_count": experts, "expert_used_count": 2})
    for name, number in numbers.items():
        writer.add_uint32(f"{kind}.{name}", number)
    if kind == "qwen2vl":
        writer.add_array("qwen2vl.rope.dimension_sections", [2, 1, 1, 0])
    writer.add_float32(f"{kind}.attention.layer_norm_rms_epsilon", 1e-5)
    tokens = add_tokenizer(writer, gguf, source, names, pre, template)

    random = numpy.random.default_rng(1)

    def add(name, *shape, scale=1.0, first=None):
        weights = random.standard_normal(shape) * scale
        if first is not None:
            weights[:, 0] = first
        if added and name in added:
            weights = weights + added[name]
        if idle and ".ffn_" in name:
            more = [(0, _IDLE - size if size == WIDE else 0) for size in shape]
            weights = numpy.pad(weights, more)
        weights = weights.astype(numpy.float32)
        if "_exps." in name:
            q8_0 = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(weights, q8_0), raw_dtype=q8_0)
        else:
            writer.add_tensor(name, weights)

    def add_ones(name, *shape):
        writer.add_tensor(name, numpy.ones(shape, numpy.float32))

    likes = [1.5 if any(mark in text for mark in closing) else 0.0 for text in tokens]
    add("token_embd.weight", len(tokens), WIDTH, first=3.0)
    add("output.weight", len(tokens), WIDTH, scale=0.25, first=numpy.array(likes))
    add_ones("output_norm.weight", WIDTH)
    for layer in range(_NUMBERS[kind]["block_count"]):
        if experts:
            _experts_layer(f"blk.{layer}", add, add_ones, experts)
        else:
            _LAYERS[kind](f"blk.{layer}", add, add_ones)
    for layer in range(1, 1 + idle):
        for name, shape in _llama_shapes(_IDLE).items():
            fill = numpy.ones if name.endswith("norm") else numpy.zeros
            writer.add_tensor(f"blk.{layer}.{name}.weight", fill(shape, numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tokenizer(writer, gguf, source, names=(), pre=None, template=None):
    """Add the tokenizer of the file `source` and the control tokens `names` to a file. Return the tokens."""
    vocabulary = _vocabulary(gguf, source)

    def values(name):
        return vocabulary[f"tokenizer.{name}"]

    tokens = [text.decode("utf-8") for text in values("ggml.tokens")]
    kinds = [int.from_bytes(kind, "little") for kind in values("ggml.token_type")]
    for name in sorted(set(names) - set(tokens)):
        tokens.append(name)
        kinds.append(_USER_DEFINED if _TAG.fullmatch(name) else _CONTROL)
    writer.add_tokenizer_model("gpt2")
    writer.add_string("tokenizer.ggml.pre", pre or values("ggml.pre")[0].decode())
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([text.decode("utf-8") for text in values("ggml.merges")])
    for name in ("bos_token_id", "eos_token_id", "unknown_token_id", "padding_token_id"):
        writer.add_uint32(f"tokenizer.ggml.{name}", int.from_bytes(values(f"ggml.{name}")[0], "little"))
    writer.add_bool("tokenizer.ggml.add_bos_token", False)
    writer.add_bool("tokenizer.ggml.add_space_prefix", False)
    writer.add_string("tokenizer.chat_template", template or values("chat_template")[0].decode("utf-8"))
    return tokens


def write_adapter(gguf, numpy, target, seed, alpha=8.0, rank=4, change=None):
    """Write a LoRA adapter of random weights for a "llama" of `write`.

    Args:
        change: Called with the writer and the pairs of tensors by the names of the model's before they are written.

    Returns:
        What the adapter adds to each tensor with a scale of 1, by the tensor's name.
    """
    random = numpy.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(target), "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    shapes = {"attn_q": (WIDTH, WIDTH), "attn_v": (WIDTH, WIDTH), "ffn_up": (WIDE, WIDTH), "ffn_down": (WIDTH, WIDE)}
    pairs = {}
    for name, (rows, columns) in shapes.items():
        a = random.standard_normal((rank, columns)).astype(numpy.float32) * 0.2
        b = random.standard_normal((rows, rank)).astype(numpy.float32) * 0.2
        pairs[f"blk.0.{name}.weight"] = (a, b)
    added = {name: alpha / rank * (b.astype(float) @ a.astype(float)) for name, (a, b) in pairs.items()}
    if change is not None:
        change(writer, pairs)
    for name, (a, b) in pairs.items():
        writer.add_tensor(f"{name}.lora_a", a)
        writer.add_tensor(f"{name}.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return added


def _attention(block, add, add_ones):
    for name in ("attn_norm", "ffn_norm"):
        add_ones(f"{block}.{name}.weight", WIDTH)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"{block}.{name}.weight", WIDTH, WIDTH, scale=0.15)


def _experts_layer(block, add, add_ones, experts):
    _attention(block, add, add_ones)
    add(f"{block}.ffn_gate_inp.weight", experts, WIDTH)
    for name in ("ffn_gate_exps", "ffn_up_exps"):
        add(f"{block}.{name}.weight", experts, WIDE, WIDTH, scale=0.3)
    add(f"{block}.ffn_down_exps.weight", experts, WIDTH, WIDE, scale=0.3)


def _llama_layer(block, add, add_ones):
    _attention(block, add, add_ones)
    for name in ("ffn_gate", "ffn_up"):
        add(f"{block}.{name}.weight", WIDE, WIDTH, scale=0.15)
    add(f"{block}.ffn_down.weight", WIDTH, WIDE, scale=0.15)


def _llama_shapes(inner):
    shapes = dict.fromkeys(("attn_norm", "ffn_norm"), (WIDTH,))
    shapes.update(dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH)))
    shapes.update(dict.fromkeys(("ffn_gate", "ffn_up"), (inner, WIDTH)))
    return {**shapes, "ffn_down": (WIDTH, inner)}


def _gemma3_layer(block, add, add_ones):
    _llama_layer(block, add, add_ones)
    for name in ("post_attention_norm", "post_ffw_norm"):
        add_ones(f"{block}.{name}.weight", WIDTH)
    for name in ("attn_q_norm", "attn_k_norm"):
        add_ones(f"{block}.{name}.weight", HEAD)


def _mamba_layer(block, add, add_ones):
    add_ones(f"{block}.attn_norm.weight", WIDTH)
    add(f"{block}.ssm_in.weight", 2 * _INNER, WIDTH, scale=0.15)
    add(f"{block}.ssm_conv1d.weight", _INNER, _KERNEL, scale=0.3)
    add(f"{block}.ssm_conv1d.bias", _INNER, scale=0.1)
    add(f"{block}.ssm_x.weight", _RANK + 2 * _STATE, _INNER, scale=0.15)
    add(f"{block}.ssm_dt.weight", _INNER, _RANK, scale=0.15)
    add(f"{block}.ssm_dt.bias", _INNER, scale=0.1)
    add(f"{block}.ssm_a", _INNER, _STATE, first=-1.0, scale=0.01)
    add_ones(f"{block}.ssm_d", _INNER)
    add(f"{block}.ssm_out.weight", WIDTH, _INNER, scale=0.15)


_LAYERS = {"llama": _llama_layer, "qwen2vl": _llama_layer, "gemma3": _gemma3_layer, "mamba": _mamba_layer}
