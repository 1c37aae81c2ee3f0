"""Facts about a model: its description, its statistics and an estimate of its memory."""

from __future__ import annotations

import os
from typing import Optional

from pydantic import ConfigDict

from luup_agent._data import Data

__all__ = ["MemoryEstimate", "ModelInfo", "ModelStats"]


class MemoryEstimate(Data):
    """An estimate of the memory that a model takes, in bytes.

    Attributes:
        memory_weights: Size of the weights.
        memory_context: Size of the KV cache and of recurrent states.
        memory_compute: Size of the scratch buffers.
        memory_projector: Size of the projector (`mmproj`): its weights, and its buffers for a picture; 0 without one.
        memory_draft: Size of the draft model (`draft`): its weights, its KV cache and its buffers; or of the model's
            own heads, whose weights are among `memory_weights`; 0 without either.
        memory_host: The part of all these in the host's memory.
        memory_devices: The part of these three on GPUs.
        host_available: Memory that the host has available; 0 if unknown.
        devices_free: Free memory of the GPUs that would be used; 0 if there are none, or if unknown.
        context_size: Size of the context in tokens; all runs share it.
        layers: Number of layers.
        gpu_layers: Number of layers on a GPU.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    memory_weights: int
    memory_context: int
    memory_compute: int
    memory_projector: int = 0
    memory_draft: int = 0
    memory_host: int
    memory_devices: int
    host_available: int
    devices_free: int
    context_size: int
    layers: int
    gpu_layers: int

    @property
    def total(self) -> int:
        """All the memory, on the host and on GPUs."""
        return self.memory_host + self.memory_devices

    @property
    def fits(self) -> Optional[bool]:
        """Whether there is enough memory now; None if unknown.

        A mapped model (`use_mmap`) that does not fit is loaded, but read from the disk again and again.
        """
        known = self.host_available and (self.devices_free or not self.memory_devices)
        if not known:
            return None
        return self.memory_host <= self.host_available and self.memory_devices <= self.devices_free


class ModelInfo(Data):
    """The description of a loaded model, and where it runs.

    Attributes:
        path: The file.
        description: A short description, such as "llama 135M Q4_1".
        architecture: The architecture: "llama", "qwen2", "gemma3", …
        file_type: The quantisation: "Q4_1", "Q4_K - Medium", "F16", …
        backend: The backend that runs the layers: "CPU", "CUDA", …
        device: The description of its device.
        cpu_variant: The build of the CPU code in use.
        chat_template: The Jinja source of the chat template in use.
        parameters: The number of weights.
        memory_weights: Size of the weights in bytes.
        memory_context: Size of the KV cache in bytes.
        memory_compute: Size of the scratch buffers in bytes.
        memory_projector: Size of the projector (`mmproj`) in bytes: its weights, and its buffers for a picture.
        memory_draft: Size of the draft model (`draft`) in bytes: its weights, its KV cache and its buffers; or of the
            model's own heads, whose weights are among `memory_weights`.
        context_size: Size of the context in tokens; all runs share it.
        training_context_size: Size of the context that the model was trained with, in tokens.
        vocabulary_size: Number of tokens in the vocabulary.
        embedding_size: Size of a hidden state.
        layers: Number of layers.
        gpu_layers: Number of layers on a GPU.
        threads: Threads for decoding.
        threads_batch: Threads for the prefill.
        batch_size: Tokens in one decoding step, at most.
        max_sequences: Number of sequences: runs decoded at once, and histories kept in the KV cache.
        load_seconds: The time that loading took, in seconds.
        cache_type_k: The type of the keys in the KV cache: "f16", "q8_0", …
        cache_type_v: The type of the values.
        rope_scaling: How rotary positions are scaled: "none", "linear", "yarn" or "longrope".
        rope_factor: The factor of that scaling; 1 for none.
        rope_original_context: The size of the context before it, in tokens.
        sees: Whether it reads pictures: it has a projector for them.
        hears: Whether it reads sounds.
        mtp: Whether the heads of the file that guess several tokens are in use: "used", or why not, such as "a draft
            model is used"; "" if it has none.
        weights_found: Bytes of weights that were in the cache of weights; all processes that use them share the memory.
        weights_made: Bytes of weights that this load has put there; shared likewise. The other weights are in this
            process's own memory, or in the mapped model file.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    path: str
    description: str
    architecture: str
    file_type: str
    backend: str
    device: str
    cpu_variant: str
    chat_template: str
    parameters: int
    memory_weights: int
    memory_context: int
    memory_compute: int
    memory_projector: int = 0
    memory_draft: int = 0
    context_size: int
    training_context_size: int
    vocabulary_size: int
    embedding_size: int
    layers: int
    gpu_layers: int
    threads: int
    threads_batch: int
    batch_size: int
    max_sequences: int
    load_seconds: float
    cache_type_k: str
    cache_type_v: str
    rope_scaling: str
    rope_factor: float
    rope_original_context: int
    sees: bool = False
    hears: bool = False
    mtp: str = ""
    weights_found: int
    weights_made: int


class ModelStats(Data):
    """A snapshot of a model's decoding thread. Counters start when the model is loaded.

    Attributes:
        runs_active: Runs being prefilled or decoded.
        runs_waiting: Runs that wait for a sequence or for room in the context.
        sequences_active: Sequences of active runs.
        sequences_parked: Sequences kept in the KV cache for the next turn of their agents.
        context_used: Tokens in the KV cache; shared prefixes count once.
        tokens_prefilled: Prompt tokens computed.
        tokens_cached: Prompt tokens found in the KV cache, which needed no prefill.
        tokens_decoded: Tokens decoded.
        batches: Steps of the decoding thread.
        batch_tokens: Tokens computed in all steps, including prompts and drafts.
        largest_batch: Tokens of the largest step.
        prefixes_loaded: System prompts with their tools that were loaded from `prefix_cache`.
        tokens_drafted: Draft tokens that were checked: of `prompt_lookup`, a draft model or the model's own heads.
        drafts_accepted: Draft tokens that proved right.
        evictions: Parked sequences evicted from the KV cache, to RAM or for good.
        restored: Evicted sequences restored from RAM.
        sequences_in_ram: Evicted sequences that are in RAM now.
        ram_used: Size of these in bytes.
        preemptions: Runs put back into the queue to make room, and computed again later.
        threads: Threads that computed the last step; fewer than `ModelInfo.threads` while the machine is busy.
        media_encoded: Pictures and sounds that were encoded, or parts of them if they were cut.
        checkpoints: States kept in RAM of recurrent and hybrid models, whose sequences can't be shortened elsewhere.
        checkpoint_bytes: Size of these.
        rewound: Sequences that went back to a checkpoint.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    runs_active: int
    runs_waiting: int
    sequences_active: int
    sequences_parked: int
    context_used: int
    tokens_prefilled: int
    tokens_cached: int
    tokens_decoded: int
    batches: int
    batch_tokens: int
    largest_batch: int
    prefixes_loaded: int
    tokens_drafted: int
    drafts_accepted: int
    evictions: int
    restored: int
    sequences_in_ram: int
    ram_used: int
    preemptions: int
    threads: int
    media_encoded: int = 0
    checkpoints: int
    checkpoint_bytes: int
    rewound: int


def short_description(info: ModelInfo) -> str:
    """Return the file, the kind and the device of a model, as in `repr(model)`."""
    where = info.cpu_variant if info.backend == "CPU" else info.device
    what = (info.architecture, _short_count(info.parameters), info.file_type)
    return f"{os.path.basename(info.path)!r} {' '.join(what)} on {info.backend} ({where})"


def _short_count(count: int) -> str:
    """Return 135M for 134515008, 7.2B for 7241732096."""
    for limit, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= limit:
            value = count / limit
            return ("{:.1f}" if value < 10 else "{:.0f}").format(value) + unit
    return str(count)
