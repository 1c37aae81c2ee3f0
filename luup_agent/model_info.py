"""What a model tells of itself: what it is, what it does, and what it takes of memory."""

from __future__ import annotations

from typing import Optional

from pydantic import BaseModel, ConfigDict


class MemoryEstimate(BaseModel):
    """What a model will take of memory, in bytes.

    Attributes:
        memory_weights: Of the weights.
        memory_context: Of the KV cache, and of recurrent states.
        memory_compute: Of scratch buffers.
        memory_host: Of these three, what lies in the host's memory.
        memory_devices: And on GPUs.
        host_available: What the machine can still give; 0 = unknown.
        devices_free: Of the GPUs that would be used; 0 = none, or unknown.
        context_size: Tokens; all runs together share them.
        layers: Of the model.
        gpu_layers: Those on a GPU.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    memory_weights: int
    memory_context: int
    memory_compute: int
    memory_host: int
    memory_devices: int
    host_available: int
    devices_free: int
    context_size: int
    layers: int
    gpu_layers: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.memory_host + self.memory_devices

    @property
    def fits(self) -> Optional[bool]:
        """Whether there is room for it now; None if that is not known here.

        A model that is mapped (`use_mmap`) and doesn't fit is read from the disk again and again.
        """
        known = self.host_available and (self.devices_free or not self.memory_devices)
        if not known:
            return None
        return self.memory_host <= self.host_available and self.memory_devices <= self.devices_free


class ModelInfo(BaseModel):
    """What a loaded model is, and where it runs.

    Attributes:
        path: The file.
        description: Such as "llama 135M Q4_1".
        architecture: "llama", "qwen2", "gemma3", …
        file_type: "Q4_1", "Q4_K - Medium", "F16", …
        backend: Where the layers run: "CPU", "CUDA", …
        device: That device's description.
        cpu_variant: The build of the CPU code in use.
        chat_template: The Jinja source in use.
        parameters: The number of weights.
        memory_weights: Bytes of the weights.
        memory_context: Bytes of the KV cache.
        memory_compute: Bytes of scratch buffers.
        context_size: Tokens; all runs together share them.
        training_context_size: Tokens that the model was trained for.
        vocabulary_size: Tokens known.
        embedding_size: Numbers that make up a hidden state.
        layers: Of the model.
        gpu_layers: Those on a GPU.
        threads: For decoding.
        threads_batch: For prefill.
        batch_size: Tokens decoded in one step at most.
        max_sequences: Runs decoded at once, and histories kept warm.
        load_seconds: What loading took.
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


class ModelStats(BaseModel):
    """What a model's decoding thread does and has done; a snapshot.

    Attributes:
        runs_active: Runs being prefilled or decoded.
        runs_waiting: Runs that wait for a sequence or for room in the context.
        sequences_active: Sequences of runs.
        sequences_parked: Sequences kept warm for the next turn of an agent.
        context_used: Tokens of the context in use; shared prefixes count once.
        tokens_prefilled: Since the model was loaded.
        tokens_cached: Prompt tokens that needed no prefill.
        tokens_decoded: Since the model was loaded.
        batches: Steps of the decoding thread.
        batch_tokens: Decoded in all of them, prompts and drafts included.
        largest_batch: Tokens of the largest.
        prefixes_loaded: System prompts, with their tools, that came from `prefix_cache`.
        tokens_drafted: Guessed (`prompt_lookup`) and checked.
        drafts_accepted: Of these, the right ones.
        evictions: Parked sequences that had to leave the context, to RAM or for good.
        restored: Of these, how many came back from RAM.
        sequences_in_ram: Those that are there now.
        ram_used: Bytes that they take.
        preemptions: Runs set back into the queue for room, to be computed again.
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
