"""Copies of a model with a larger vocabulary, for what depends on its size."""


def write(gguf, numpy, source, target, size):
    """Write a copy of the model `source` whose vocabulary has `size` tokens.

    The new tokens are pairs of tokens, such as " of the": large vocabularies have many like these. Nothing merges into
    them, so prompts have the same tokens as before. Their rows of the output matrix are rows of other tokens with half
    of their weights, so their logits are spread like a model's, and the likeliest tokens remain.
    """
    reader = gguf.GGUFReader(str(source))
    writer = gguf.GGUFWriter(str(target), reader.fields["general.architecture"].contents())
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    kinds = reader.fields["tokenizer.ggml.token_type"].contents()
    random = numpy.random.default_rng(1)
    more = _pairs(random, tokens, kinds, size - len(tokens))
    rows = random.integers(0, len(tokens), len(more))
    values = {"tokenizer.ggml.tokens": tokens + more, "tokenizer.ggml.token_type": kinds + [1] * len(more)}
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "qwen2.vocab_size"):
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, values.get(name, field.contents()), kind, sub_type=inner)
    for tensor in reader.tensors:
        data = tensor.data
        if tensor.name in ("output.weight", "token_embd.weight"):
            weights = gguf.quants.dequantize(data[rows], tensor.tensor_type) * 0.5
            data = numpy.concatenate([data, _quantize(gguf, weights, tensor.tensor_type)])
        writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _quantize(gguf, weights, kind):
    return gguf.quants.quantize(weights.astype("float32"), kind)


def _pairs(random, tokens, kinds, count):
    """Return `count` new texts of two tokens each."""
    short = [text for text, kind in zip(tokens, kinds) if kind == 1 and len(text) <= 12]
    known, pairs = set(tokens), []
    while len(pairs) < count:
        first, second = (short[number] for number in random.integers(0, len(short), 2))
        if first + second not in known:
            known.add(first + second)
            pairs.append(first + second)
    return pairs
