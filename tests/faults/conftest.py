"""Small GGUF files, right and wrong, made with the `gguf` package."""

import gguf
import numpy
import pytest

CONTEXT, WIDTH, HEADS, LAYERS = 512, 64, 4, 1


def write_gguf(
    path,
    architecture="llama",
    vocabulary=True,
    tensors=True,
    double=False,
    omit=(),
    alignment=None,
    norm_type=numpy.float32,
    **changes,
):
    """Write a model of random weights to `path`.

    `omit` names metadata keys that are left out, `changes` gives others new values, by the end of their name; `double`
    lets a token be there twice; `norm_type` is the type of the norms' weights.
    """
    writer = gguf.GGUFWriter(str(path), architecture)
    if alignment is not None:
        writer.add_custom_alignment(alignment)
    numbers = {
        "context_length": CONTEXT,
        "embedding_length": WIDTH,
        "block_count": LAYERS,
        "feed_forward_length": 2 * WIDTH,
        "attention.head_count": HEADS,
        "attention.layer_norm_rms_epsilon": 1e-5,
        **changes,
    }
    for key, value in numbers.items():
        name = key if key.startswith("tokenizer.") else f"{architecture}.{key}"
        if key not in omit:
            (writer.add_float32 if isinstance(value, float) else writer.add_uint32)(name, value)
    if architecture == "bert":
        writer.add_float32("bert.attention.layer_norm_epsilon", 1e-5)
        writer.add_bool("bert.attention.causal", False)
        writer.add_uint32("bert.pooling_type", 1)
        tokens = [b"t%d" % i for i in range(100)] + [b"[UNK]", b"[CLS]", b"[SEP]", b"[MASK]"]
    else:
        tokens = [b"<unk>", b"<s>", b"</s>"] + [b"<0x%02X>" % i for i in range(256)]
    if double:
        tokens[-1] = tokens[-2]
    if vocabulary:
        writer.add_tokenizer_model("bert" if architecture == "bert" else "llama")
        writer.add_token_list(tokens)
        writer.add_token_scores([0.0] * len(tokens))
        normal, control, byte = 1, 3, 6
        kinds = [normal] * len(tokens) if architecture == "bert" else [2, control, control, *[byte] * 256]
        writer.add_token_types(kinds)
    else:
        writer.add_tokenizer_model("no_vocab")
    if tensors:
        for name, shape in tensor_shapes(architecture, len(tokens)):
            random = numpy.random.default_rng(len(name)).standard_normal(shape) * 0.1
            writer.add_tensor(name, random.astype(norm_type if "norm" in name else numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tensor_shapes(architecture, n_tokens):
    """Return the tensors of a model of one layer, with numpy's order of dimensions."""
    square, wide, tall, line = (WIDTH, WIDTH), (2 * WIDTH, WIDTH), (WIDTH, 2 * WIDTH), (WIDTH,)
    if architecture == "bert":
        return [
            ("token_embd.weight", (n_tokens, WIDTH)),
            ("position_embd.weight", (CONTEXT, WIDTH)),
            ("token_embd_norm.weight", line),
            ("token_embd_norm.bias", line),
            *[(f"blk.0.{n}.{p}", square if p == "weight" else line)
              for n in ("attn_q", "attn_k", "attn_v", "attn_output") for p in ("weight", "bias")],
            *[(f"blk.0.{n}.{p}", line)
              for n in ("attn_output_norm", "layer_output_norm") for p in ("weight", "bias")],
            ("blk.0.ffn_up.weight", wide),
            ("blk.0.ffn_up.bias", (2 * WIDTH,)),
            ("blk.0.ffn_down.weight", tall),
            ("blk.0.ffn_down.bias", line),
        ]  # fmt: skip
    return [
        ("token_embd.weight", (n_tokens, WIDTH)),
        ("output_norm.weight", line),
        ("output.weight", (n_tokens, WIDTH)),
        ("blk.0.attn_norm.weight", line),
        ("blk.0.ffn_norm.weight", line),
        *[(f"blk.0.{name}.weight", square) for name in ("attn_q", "attn_k", "attn_v", "attn_output")],
        ("blk.0.ffn_gate.weight", wide),
        ("blk.0.ffn_up.weight", wide),
        ("blk.0.ffn_down.weight", tall),
    ]


@pytest.fixture(scope="session")
def gguf_file(tmp_path_factory):
    """Writes a small model: `gguf_file(name, **options of write_gguf)`."""
    folder = tmp_path_factory.mktemp("gguf")

    def make(name, **options):
        return write_gguf(folder / f"{name}.gguf", **options)

    return make
