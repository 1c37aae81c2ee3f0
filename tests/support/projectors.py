"""Projectors of random weights: the encoders of pictures and sounds that belong to small models."""

EMBD, HEADS, FEED, LAYERS = 32, 2, 64, 3  # of the encoders
PATCH, SIDE = 14, 56  # pixels
MELS = 80
STACK = 4  # vectors of sound that "ultravox" puts together

IMAGE_TOKENS = {"mlp": (SIDE // PATCH) ** 2, "gemma3": 16}


class _Writer:
    def __init__(self, gguf, numpy, target, width, seed, scale):
        self.writer = gguf.GGUFWriter(str(target), "clip")
        self.numpy, self.width, self.scale = numpy, width, scale
        self.random = numpy.random.default_rng(seed)
        self.writer.add_type("mmproj")

    def add(self, name, *shape, scale=0.15):
        weights = self.random.standard_normal(shape) * scale
        self.writer.add_tensor(name, weights.astype(self.numpy.float32))

    def ones(self, name, *shape):
        self.writer.add_tensor(name, self.numpy.ones(shape, self.numpy.float32))

    def norm(self, name, size):
        self.ones(f"{name}.weight", size)
        self.add(f"{name}.bias", size, scale=0.02)

    def numbers(self, prefix, kind, layers=LAYERS, width=EMBD):
        writer = self.writer
        writer.add_string("clip.projector_type", kind)
        writer.add_bool("clip.has_vision_encoder", prefix == "vision")
        writer.add_bool("clip.has_audio_encoder", prefix == "audio")
        writer.add_uint32(f"clip.{prefix}.embedding_length", width)
        writer.add_uint32(f"clip.{prefix}.feed_forward_length", FEED)
        writer.add_uint32(f"clip.{prefix}.block_count", layers)
        writer.add_uint32(f"clip.{prefix}.projection_dim", self.width)
        writer.add_uint32(f"clip.{prefix}.attention.head_count", HEADS)
        writer.add_float32(f"clip.{prefix}.attention.layer_norm_epsilon", 1e-5)
        writer.add_bool("clip.use_gelu", True)

    def picture_numbers(self, side=SIDE):
        self.writer.add_uint32("clip.vision.image_size", side)
        self.writer.add_uint32("clip.vision.patch_size", PATCH)
        self.writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
        self.writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])

    def layers(self, prefix, key_bias=True, layers=LAYERS):
        for layer in range(layers):
            block = f"{prefix}.blk.{layer}"
            self.norm(f"{block}.ln1", EMBD)
            self.norm(f"{block}.ln2", EMBD)
            for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
                self.add(f"{block}.{name}.weight", EMBD, EMBD)
                if name != "attn_k" or key_bias:
                    self.add(f"{block}.{name}.bias", EMBD, scale=0.02)
            self.add(f"{block}.ffn_up.weight", FEED, EMBD)
            self.add(f"{block}.ffn_up.bias", FEED, scale=0.02)
            self.add(f"{block}.ffn_down.weight", EMBD, FEED)
            self.add(f"{block}.ffn_down.bias", EMBD, scale=0.02)

    def close(self):
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()


def write(gguf, numpy, target, width, kind="mlp", seed=1, scale=1.0, change=None, side=SIDE, layers=LAYERS):
    """Write a projector of random weights for a language model whose vectors have `width` numbers.

    Its kind: "mlp" as of LLaVA, with 16 tokens for any picture; "gemma3", whose tokens see each other; "qwen2vl_merger"
    with M-RoPE, whose tokens depend on the size of the picture; "idefics3" and "minicpmv", which cut a picture into
    slices; "ultravox" for sound. The vectors have about the size
    `scale`. `change` is called with the writer before it writes. `side` is the size of pictures for "mlp", in pixels,
    and `layers` the number of its layers.
    """
    made = _Writer(gguf, numpy, target, width, seed, scale)
    made.side, made.depth = side, layers
    _KINDS[kind](made)
    if change is not None:
        change(made.writer)
    made.close()


def _mlp(made):
    made.numbers("vision", "mlp", made.depth)
    made.picture_numbers(made.side)
    made.add("v.class_embd", EMBD)
    made.add("v.patch_embd.weight", EMBD, 3, PATCH, PATCH)
    made.add("v.position_embd.weight", (made.side // PATCH) ** 2 + 1, EMBD)
    made.norm("v.pre_ln", EMBD)
    made.layers("v", layers=made.depth)
    made.add("mm.0.weight", made.width, EMBD)
    made.add("mm.0.bias", made.width, scale=0.02)
    made.add("mm.2.weight", made.width, made.width, scale=made.scale / made.width**0.5)
    made.add("mm.2.bias", made.width, scale=0.02 * made.scale)


def _gemma3(made):
    side = 4 * 4 * PATCH  # 16 x 16 patches, of which 4 x 4 are averaged
    made.numbers("vision", "gemma3")
    made.picture_numbers(side)
    made.add("v.patch_embd.weight", EMBD, 3, PATCH, PATCH)
    made.add("v.patch_embd.bias", EMBD, scale=0.02)
    made.add("v.position_embd.weight", (side // PATCH) ** 2, EMBD)
    made.norm("v.post_ln", EMBD)
    made.layers("v")
    made.add("mm.input_projection.weight", EMBD, made.width, scale=made.scale)
    made.ones("mm.soft_emb_norm.weight", EMBD)


def _qwen2vl(made):
    made.numbers("vision", "qwen2vl_merger")
    made.picture_numbers()
    made.add("v.patch_embd.weight", EMBD, 3, PATCH, PATCH)
    made.add("v.patch_embd.weight.1", EMBD, 3, PATCH, PATCH)
    made.norm("v.post_ln", EMBD)
    made.layers("v")
    made.add("mm.0.weight", 4 * EMBD, 4 * EMBD)
    made.add("mm.0.bias", 4 * EMBD, scale=0.02)
    made.add("mm.2.weight", made.width, 4 * EMBD, scale=made.scale * 0.15)
    made.add("mm.2.bias", made.width, scale=0.02 * made.scale)


def _idefics3(made):
    """As of SmolVLM: the picture is cut into slices, with tokens of rows and columns between them."""
    made.numbers("vision", "idefics3")
    made.picture_numbers()
    made.writer.add_uint32("clip.vision.preproc_image_size", 3 * SIDE)
    made.writer.add_uint32("clip.vision.projector.scale_factor", 2)
    made.add("v.patch_embd.weight", EMBD, 3, PATCH, PATCH)
    made.add("v.patch_embd.bias", EMBD, scale=0.02)
    made.add("v.position_embd.weight", (SIDE // PATCH) ** 2, EMBD)
    made.norm("v.post_ln", EMBD)
    made.layers("v")
    made.add("mm.model.fc.weight", made.width, 4 * EMBD, scale=made.scale * 0.15)


def _minicpmv(made):
    """As of MiniCPM-V 2.6: slices by LLaVA-UHD's rules, each of which a resampler makes 64 tokens of.

    The width of the language model has to be a multiple of 128.
    """
    made.numbers("vision", "resampler")
    made.picture_numbers()
    made.writer.add_int32("clip.minicpmv_version", 3)
    made.add("v.patch_embd.weight", EMBD, 3, PATCH, PATCH)
    made.add("v.patch_embd.bias", EMBD, scale=0.02)
    made.add("v.position_embd.weight", 70 * 70, EMBD)
    made.norm("v.post_ln", EMBD)
    made.layers("v")
    made.add("resampler.pos_embed_k", 1, made.width)
    made.add("resampler.query", 64, made.width)
    made.add("resampler.kv.weight", made.width, EMBD)
    for name in ("q", "k", "v", "out"):
        made.add(f"resampler.attn.{name}.weight", made.width, made.width)
        made.add(f"resampler.attn.{name}.bias", made.width, scale=0.02)
    for name in ("q", "kv", "post"):
        made.norm(f"resampler.ln_{name}", made.width)
    made.add("resampler.proj.weight", made.width, made.width, scale=made.scale / made.width**0.5)


def _ultravox(made):
    made.numbers("audio", "ultravox")
    made.writer.add_uint32("clip.audio.num_mel_bins", MELS)
    made.writer.add_uint32("clip.audio.projector.stack_factor", STACK)
    made.add("a.conv1d.1.weight", EMBD, MELS, 3)
    made.add("a.conv1d.1.bias", EMBD, 1, scale=0.02)
    made.add("a.conv1d.2.weight", EMBD, EMBD, 3)
    made.add("a.conv1d.2.bias", EMBD, 1, scale=0.02)
    made.add("a.position_embd.weight", 1500, EMBD)
    made.norm("a.post_ln", EMBD)
    made.layers("a", key_bias=False)
    made.ones("mm.a.norm_pre.weight", STACK * EMBD)
    made.add("mm.a.mlp.1.weight", 2 * FEED, STACK * EMBD)
    made.ones("mm.a.norm_mid.weight", FEED)
    made.add("mm.a.mlp.2.weight", made.width, FEED, scale=made.scale * 0.15)


_KINDS = {
    "mlp": _mlp,
    "gemma3": _gemma3,
    "qwen2vl_merger": _qwen2vl,
    "idefics3": _idefics3,
    "minicpmv": _minicpmv,
    "ultravox": _ultravox,
}
