"""What a model can run on."""

from __future__ import annotations

from typing import List

from pydantic import BaseModel, ConfigDict
from typing_extensions import Literal

from luup_agent import _native


class DeviceInfo(BaseModel):
    """A device that a model can run on.

    Attributes:
        name: Such as "CPU" or "CUDA0".
        description: The device's own name.
        backend: "CPU", "CUDA", "Metal", "Vulkan".
        type: "gpu" has memory of its own, "igpu" shares the host's.
        memory_free: Bytes; 0 = unknown.
        memory_total: Bytes; 0 = unknown.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    description: str
    backend: str
    type: Literal["cpu", "gpu", "igpu", "accelerator"]
    memory_free: int
    memory_total: int


class CpuVariant(BaseModel):
    """The build of the CPU code that was chosen for this machine.

    Attributes:
        name: Such as "haswell", "zen4", "sapphirerapids"; "native" in a build with one variant.
        path: The file it was loaded from.
        reason: Why this one, in English.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    path: str
    reason: str


class BackendInfo(BaseModel):
    """A library with code for one kind of device, that was loaded, or refused.

    Attributes:
        name: "CPU", "CUDA", "Metal", "Vulkan"; the file's own name if it was not loaded.
        path: The file; the package's name if its version is refused.
        reason: Why it was not loaded, in English; "" if it was.
        n_devices: How many devices it found.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    path: str
    reason: str
    n_devices: int


def backends() -> List[BackendInfo]:
    """Lists the backends: the CPU variant in use, and those of GPUs, of this package and of its plugins.

    Raises:
        BackendInitError: No CPU variant runs here, or the one that ``LUUP_CPU_VARIANT`` names does not.

    Example:
        >>> [backend.name for backend in luup_agent.backends()]
        ['CPU']
    """
    return [BackendInfo(**values) for values in _native.backends()]


def devices() -> List[DeviceInfo]:
    """Lists the devices that a model can run on.

    Raises:
        BackendInitError: No CPU variant runs here, or the one that ``LUUP_CPU_VARIANT`` names does not.

    Example:
        >>> [device.name for device in luup_agent.devices()]
        ['CPU']
    """
    return [DeviceInfo(**values) for values in _native.devices()]


def cpu_variant() -> CpuVariant:
    """Describes the CPU variant in use. The environment variable ``LUUP_CPU_VARIANT`` names another one.

    Raises:
        BackendInitError: No CPU variant runs here, or the one that ``LUUP_CPU_VARIANT`` names does not.

    Example:
        >>> luup_agent.cpu_variant().name
        'zen4'
    """
    return CpuVariant(**_native.cpu_variant())


def llama_version() -> str:
    """The version and commit of the llama.cpp inside, such as ``"0.5.0-dev (0c1e57098)"``."""
    return _native.llama_version()
