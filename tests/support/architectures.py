"""A model of random weights for each architecture of llama.cpp: luup-tensor-shapes says which tensors it has."""

import re
import subprocess

from support import builds, random_model

LAYERS, WIDTH, HEADS, HEAD, INNER, EXPERTS = 4, 64, 4, 16, 96, 4
CONTEXT = 2048
WINDOW = 64

_BASE = {
    "context_length": CONTEXT,
    "embedding_length": WIDTH,
    "block_count": LAYERS,
    "feed_forward_length": INNER,
    "leading_dense_block_count": 1,
    "attention.head_count": HEADS,
    "attention.head_count_kv": HEADS,
    "attention.layer_norm_epsilon": 1e-5,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "attention.group_norm_epsilon": 1e-5,
    "attention.group_norm_groups": 8,
    "attention.sliding_window": WINDOW,
    "attention.sliding_window_pattern": 2,
    "attention.q_lora_rank": 32,
    "attention.kv_lora_rank": 32,
    "attention.indexer.head_count": 1,
    "attention.indexer.key_length": 64,
    "attention.indexer.top_k": 8,
    "attention.max_alibi_bias": 8.0,
    "attention.clamp_kqv": 8.0,
    "rope.dimension_count": HEAD,
    "rope.freq_base": 10000.0,
    "rope.freq_base_swa": 10000.0,
    "use_parallel_residual": False,
    "logit_scale": 1.0,
    "full_attention_interval": 2,
    "time_mix_extra_dim": 16,
    "time_decay_extra_dim": 32,
    "wkv.head_size": WIDTH,  # ggml's operators read whole vectors
    "attention.decay_lora_rank": 16,
    "attention.iclr_lora_rank": 16,
    "attention.value_residual_mix_lora_rank": 16,
    "attention.gate_lora_rank": 16,
    "token_shift_count": 2,
    "rescale_every_n_layers": 0,
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 2 * WIDTH,
    "ssm.state_size": 16,
    "ssm.time_step_rank": HEADS,
    "ssm.group_count": 2,
    "kda.head_dim": HEAD,
    "shortconv.l_cache": 3,
}

# Where there are experts; some architectures take a file with them for another model.
_EXPERTS = {
    "expert_feed_forward_length": 32,
    "interleave_moe_layer_step": 2,
    "moe_every_n_layers": 2,
    "expert_count": EXPERTS,
    "expert_used_count": 2,
    "expert_shared_count": 1,
    "expert_shared_feed_forward_length": 32,
    "expert_gating_func": 2,
    "expert_group_scale": 1.0,
    "experts_per_group": 2,
    "expert_weights_scale": 1.0,
    "expert_weights_norm": True,
}

_ALTERNATING = [HEADS if layer % 2 else 0 for layer in range(LAYERS)]  # layers with and without attention
_HYBRID = {"attention.head_count_kv": _ALTERNATING}
_MLA = {
    "attention.key_length": 48,
    "attention.value_length": 32,
    "attention.key_length_mla": 32,
    "attention.value_length_mla": 16,
    "rope.dimension_count": 16,
    "attention.head_count_kv": 1,
}
_MLA_HYBRID = {**_MLA, "attention.head_count_kv": [layer % 2 for layer in range(LAYERS)]}
_SECTIONS = {"rope.dimension_sections": [4, 2, 2, 0]}

_DELTA = {
    "ssm.inner_size": 64,
    "ssm.group_count": 2,
    "ssm.state_size": 16,
}  # heads of delta-nets are as wide as a state

_WINDOWS = {"attention.sliding_window_pattern": [1 - layer % 2 for layer in range(LAYERS)]}  # of each layer
_HYPER = {
    "hyper_connection.count": 4,
    "hyper_connection.sinkhorn_iterations": 4,
    "hyper_connection.epsilon": 1e-6,
    "hyper_connection.magnitude": 1.0,
    "hyper_connection.low_rank": 8,
}
_CLAMPED = {"swiglu_clamp_exp": [7.0] * LAYERS, "swiglu_clamp_shexp": [7.0] * LAYERS}

_WITH_EXPERTS = {
    "afmoe",
    "arctic",
    "bailingmoe",
    "bailingmoe2",
    "bailingmoe3",
    "cohere2moe",
    "dbrx",
    "deepseek",
    "deepseek2",
    "deepseek2-ocr",
    "deepseek32",
    "deepseek4",
    "dots1",
    "dots3note",
    "ernie4_5-moe",
    "exaone-moe",
    "glm-dsa",
    "glm4moe",
    "glm5-next",
    "gpt-oss",
    "granitehybrid",
    "granitemoe",
    "grok",
    "grovemoe",
    "hunyuan-moe",
    "hy_v3",
    "hy_v4",
    "kimi-k3",
    "kimi-linear",
    "laguna",
    "lfm2moe",
    "llada-moe",
    "llama4",
    "maple",
    "mellum",
    "mimo2",
    "minimax-01",
    "minimax-m2",
    "minimax-m3",
    "mistral4",
    "nemotron_h_moe",
    "olmoe",
    "phimoe",
    "qwen2moe",
    "qwen35moe",
    "qwen3moe",
    "qwen3next",
    "qwen3vlmoe",
    "qwen4exp",
    "rnd1",
    "smallthinker",
    "step35",
}

_OF = {
    **{name: {"attention.causal": False} for name in ("eurobert", "llama-embed", "modern-bert", "neo-bert")},
    "apertus": {"xielu.alpha_n": 1.0, "xielu.alpha_p": 1.0, "xielu.beta": 1.0, "xielu.eps": 1e-7},
    "arwkv7": {"token_shift_count": 1},
    "bailingmoe3": {**_MLA_HYBRID, "kda.gate_lower_bound": -5.0},
    "cohere2moe": _WINDOWS,
    "deepseek2": _MLA,
    "deepseek32": _MLA,
    "deepseek4": {
        **_HYPER,
        **_CLAMPED,
        "attention.output_group_count": 2,
        "attention.output_lora_rank": 16,
        "attention.compress_rope_freq_base": 10000.0,
        "attention.compress_ratios": [0, 4, 128, 4],
        "attention.key_length": 32,
        "attention.value_length": 32,
        "attention.head_count_kv": 1,
        "hash_layer_count": 0,
        "expert_gating_func": 4,
    },
    "dots3note": {
        **_MLA,
        **_WINDOWS,
        # The rotation of the indexer needs heads of a multiple of 64 values in the cache, alike in all layers.
        "attention.kv_lora_rank": 48,
        "attention.key_length": 64,
        "attention.value_length": 48,
        "attention.kv_lora_rank_swa": 48,
        "attention.key_length_swa": 64,
        "attention.value_length_swa": 48,
        "attention.key_length_mla_swa": 32,
        "attention.value_length_mla_swa": 16,
        "attention.indexer.types": [1] * LAYERS,
    },
    "gemma4": {
        **_WINDOWS,
        "attention.key_length_swa": HEAD,
        "attention.value_length_swa": HEAD,
        "embedding_length_per_layer_input": 16,
        "final_logit_softcapping": 30.0,
        "attention.shared_kv_layers": 0,
    },
    "glm-dsa": _MLA,
    "glm5-next": {
        **_MLA_HYBRID,
        **_HYPER,
        "attention.indexer.kpool": 4,
        "rope.dimension_count": 0,
        "attention.key_length": 32,
    },
    "granite_swa": _WINDOWS,
    "granitehybrid": _HYBRID,
    "graniteswitch": {
        "adapters.count": 2,
        "adapters.lora_rank": 4,
        "adapters.token_ids_activate": [5, 6],
        "adapters.token_ids_substitute": [7, 8],
    },
    "hrm_text": {"hrm.layers_per_stack": 1, "hrm.h_cycles": 2, "hrm.l_cycles": 2, "block_count": 6},
    "hy_v4": {**_MLA, **_HYPER, "attention.indexer.types": [1] * LAYERS},
    "jamba": _HYBRID,
    "kimi-k3": {
        **_MLA_HYBRID,
        "attn_res.block_size": 2,
        "activation.situ_beta": 1.0,
        "activation.situ_linear_beta": 1.0,
    },
    "kimi-linear": _MLA_HYBRID,
    "lfm2": {**_HYBRID, "attention.sliding_window": None},
    "lfm2moe": {**_HYBRID, "attention.sliding_window": None},
    "maple": {**_WINDOWS, **_CLAMPED},
    "mellum": _WINDOWS,
    "mimo2": _WINDOWS,
    "minimax-01": {"residual_scale": 1.0},
    "minimax-m3": {
        "attention.indexer.head_count": HEADS,
        "attention.indexer.block_size": 16,
        "attention.indexer.local_blocks": 1,
    },
    "mistral4": _MLA,
    "nemotron_h": {**_HYBRID, "feed_forward_length": [0, 0, 96, 0]},
    "nemotron_h_moe": {**_HYBRID, "feed_forward_length": [0, 0, 96, 0]},
    "paddleocr": _SECTIONS,
    "plamo2": {**_HYBRID, "ssm.group_count": 0},
    "qwen2vl": _SECTIONS,
    "qwen35": {**_SECTIONS, **_DELTA},
    "qwen35moe": {**_SECTIONS, **_DELTA},
    "qwen3next": _DELTA,
    "qwen3vl": _SECTIONS,
    "qwen3vlmoe": _SECTIONS,
    "qwen4exp": {**_SECTIONS, **_DELTA, **_HYPER, "attention.compress_ratios": [0] * LAYERS},
    "rwkv6": {"attention.head_count_kv": 1},  # there is one head, of the model's width
    "rwkv6qwen2": {"token_shift_count": 1, "attention.head_count_kv": 1},
    "spark2_5": _WINDOWS,
    "step35": {**_WINDOWS, **_CLAMPED},
    "t5": {"attention.relative_buckets_count": 8},
}

# Architectures whose heads for several tokens guess for their models.
WITH_HEADS = (
    "bailingmoe3",
    "cohere2moe",
    "deepseek2",
    "deepseek32",
    "glm-dsa",
    "glm4moe",
    "hy_v3",
    "mimo2",
    "nemotron_h_moe",
    "qwen35",
    "qwen35moe",
    "step35",
)

# Those whose heads llama.cpp has a graph for, and why they don't guess.
HEADS_NOT_USED = {
    "deepseek4": "luup-tensor-shapes finds no tensors of its heads, so no file can be made",
    "qwen3next": "llama.cpp keeps no states that its recurrent layers could go back to",
}

# Architectures with a state that can't be cut back, as llm_arch_is_recurrent() and llm_arch_is_hybrid() say.
RECURRENT = {
    "mamba",
    "mamba2",
    "rwkv6",
    "rwkv6qwen2",
    "rwkv7",
    "arwkv7",
    "jamba",
    "falcon-h1",
    "granitehybrid",
    "lfm2",
    "lfm2moe",
    "nemotron_h",
    "nemotron_h_moe",
    "qwen3next",
    "kimi-linear",
    "bailingmoe3",
    "qwen35",
    "qwen35moe",
    "plamo2",
    "kimi-k3",
    "qwen4exp",
    "minimax-01",
}

# Those of this kind that do not give the answers of an empty cache, and what was seen.
RECURRENT_WRONG = {
    "deepseek4": "behind another conversation's checkpoint its logits differ by up to 0.5, but not with cache_ram=0",
    "glm5-next": "behind a shared prefix its logits differ by up to 0.5, also with cache_ram=0; not explained",
}

# Architectures that generate no text of a prompt by themselves.
# Those for which no small sizes are known that work, and why.
NOT_MADE = {
    "plm": "its graph puts the heads of its values side by side, which the KV cache refuses for more than one token",
}

_EMBEDS = "it makes vectors of texts"
_DRAFTS = "it is a head that drafts for another model"
_DIFFUSION = "it is a diffusion model"
_SOUND = "it makes sound"
NOT_FOR_TEXT = {
    "bert": _EMBEDS,
    "clip": "it is a projector for pictures",
    "dflash": _DRAFTS,
    "dream": _DIFFUSION,
    "eagle3": _DRAFTS,
    "eurobert": _EMBEDS,
    "gemma-embedding": _EMBEDS,
    "gemma4-assistant": _DRAFTS,
    "gptj": "llama.cpp has its name only",
    "jina-bert-v2": _EMBEDS,
    "jina-bert-v3": _EMBEDS,
    "llada": _DIFFUSION,
    "llada-moe": _DIFFUSION,
    "llama-embed": _EMBEDS,
    "modern-bert": _EMBEDS,
    "neo-bert": _EMBEDS,
    "nomic-bert": _EMBEDS,
    "nomic-bert-moe": _EMBEDS,
    "qwen3tts": _SOUND,
    "rnd1": _DIFFUSION,
    "t5": "it has an encoder",
    "t5encoder": _EMBEDS,
    "wavtokenizer-dec": _SOUND,
}


def architectures():
    """Return the names of llama.cpp's architectures, sorted; [] without a build."""
    source = builds.find_llama()
    if source is None:
        return []
    text = (source / "src" / "llama-arch.cpp").read_text(encoding="utf-8")
    table = text[: text.index("LLM_KV_NAMES")]
    return sorted(set(re.findall(r'\{ LLM_ARCH_\w+,\s*"([^"(]+)"', table)))


class NotMade(Exception):
    """llama.cpp refuses these fields, or ended at them."""


def write(gguf, numpy, source, target, name, seed=1, tokens=(), change=None, **changed):
    """Write a model of the architecture `name` with the tokenizer of the file `source`.

    `tokens` are control tokens to add, `changed` has fields with other values. The model likes the ends of strings and
    lists, as those of `random_model.write` do. `change` gets the name and the weights of each tensor, and returns other
    weights.
    """
    program = builds.find_program("luup-tensor-shapes")
    header = target.with_suffix(".header")
    writer = gguf.GGUFWriter(str(header), name)
    _add_fields(writer, name, changed)
    vocabulary = random_model.add_tokenizer(writer, gguf, source, tokens)
    _close(writer)
    try:
        found = subprocess.run(
            [str(program), str(header)], capture_output=True, encoding="utf-8", timeout=60, check=False
        )
    finally:
        header.unlink()
    if found.returncode != 0:
        raise NotMade(f"{name}: exit {found.returncode}: {found.stderr.strip()[-400:]}")
    writer = gguf.GGUFWriter(str(target), name)
    _add_fields(writer, name, changed)
    random_model.add_tokenizer(writer, gguf, source, tokens)
    random = numpy.random.default_rng(seed)
    numbers = {**fields(name), **changed}
    trunk = numbers["block_count"] - numbers.get("nextn_predict_layers", 0)
    likes = numpy.array([1.5 if any(mark in text for mark in ('"', "]", "}")) else 0.0 for text in vocabulary])
    for line in found.stdout.splitlines():
        tensor, *sizes = line.split()
        if name == "rwkv6qwen2" and "time_mix_first" in tensor:
            continue  # with this one llama.cpp takes it for an RWKV6, and ends the process
        block = int(tensor.split(".")[1]) if tensor.startswith("blk.") else -1
        if block >= trunk and tensor.endswith("scale"):
            continue  # llama.cpp refuses a file with those of heads that it does not load
        shape = [int(size) for size in reversed(sizes)]
        while len(shape) > 1 and shape[0] == 1:
            del shape[0]
        if name == "mimo2" and block >= trunk and ".attn_" in tensor and tensor.endswith(("q.weight", "k.weight")):
            continue  # the heads have one tensor for the three
        if name == "mimo2" and block >= trunk and tensor.endswith("attn_v.weight"):
            tensor, shape = tensor.replace("attn_v", "attn_qkv"), [3 * shape[0], *shape[1:]]
        weights = _weights(numpy, random, tensor, shape, likes)
        weights = weights if change is None else change(tensor, weights)
        writer.add_tensor(tensor, weights.astype(numpy.float32))
    _close(writer)


def _add_fields(writer, name, changed):
    for key, value in {**fields(name), **changed}.items():
        full = key if key.startswith("xielu.") else f"{name}.{key}"
        if isinstance(value, bool):
            writer.add_bool(full, value)
        elif isinstance(value, int):
            writer.add_uint32(full, value)
        elif isinstance(value, float):
            writer.add_float32(full, value)
        elif isinstance(value, str):
            writer.add_string(full, value)
        else:
            writer.add_array(full, value)


def _close(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _weights(numpy, random, tensor, shape, likes):
    kind = tensor.split(".", 2)[-1] if tensor.startswith("blk.") else tensor
    if kind.endswith(("scale", "norm.weight", "norm_2.weight")) or kind.startswith(("rope_f", "ssm_d", "ssm_norm")):
        return numpy.ones(shape) if kind != "ssm_dt.bias" else random.standard_normal(shape) * 0.1
    if kind.startswith("ssm_a"):
        return -numpy.exp(random.standard_normal(shape) * 0.1)
    weights = random.standard_normal(shape)
    if kind == "token_embd.weight":
        weights[:, 0] = 3.0
    elif kind == "output.weight":
        weights *= 0.25
        weights[:, 0] = likes
    elif kind.endswith(".bias") or len(shape) == 1:
        weights *= 0.1
    else:
        weights *= 0.7 / numpy.sqrt(shape[-1])
    return weights


def fields(name, experts=None):
    """Return the fields of a small model of the architecture."""
    of = dict(_BASE)
    if name in _WITH_EXPERTS if experts is None else experts:
        of.update(_EXPERTS)
    of.update(_OF.get(name, {}))
    return {key: value for key, value in of.items() if value is not None}


def heads(name, count=1, layers=LAYERS):
    """Return the fields with which a model of the architecture has heads for several tokens behind its layers."""
    changed = {"block_count": layers + count, "nextn_predict_layers": count}
    for key, value in fields(name).items():
        if isinstance(value, list) and "sections" not in key:
            changed[key] = (value * layers)[:layers] + [_of_head(key, value)] * count
    return changed


def _of_head(key, value):
    return {"attention.head_count_kv": max(value), "feed_forward_length": 0}.get(key, value[-1])


def knowing(numpy, trunk, doubt=0.0):
    """Return a `change` for `write`, of a model whose head guesses right.

    The head predicts from the last token alone, and so does the model, but for a part `doubt` of what its `trunk`
    layers add: 0 makes every guess right.
    """
    of_model = {}

    def change(tensor, weights):
        if tensor in ("token_embd.weight", "output.weight"):
            of_model[tensor] = weights
        if not tensor.startswith("blk."):
            return weights
        _, block, kind = tensor.split(".", 2)
        if kind.startswith(("attn_output", "ffn_down", "ssm_out")) and kind.endswith("weight"):
            return weights * (0 if int(block) >= trunk else doubt)
        if kind == "nextn.eh_proj.weight":
            return numpy.eye(weights.shape[0], 2 * weights.shape[0])
        if kind in ("nextn.embed_tokens.weight", "nextn.shared_head_head.weight"):
            return of_model["token_embd.weight" if "embed" in kind else "output.weight"]
        return weights

    return change
