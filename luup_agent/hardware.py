"""Devices, backends and CPU variants: the hardware that a model can run on."""

from __future__ import annotations

from typing import List

from pydantic import ConfigDict
from typing_extensions import Literal

from luup_agent import _native
from luup_agent._data import Data


class DeviceInfo(Data):
    """A device that a model can run on.

    Attributes:
        name: The name to select it by, such as "CPU" or "CUDA0".
        description: The vendor's name of the device.
        backend: "CPU", "CUDA", "Metal" or "Vulkan".
        type: A "gpu" has memory of its own, an "igpu" shares the host's.
        memory_free: Free memory in bytes; 0 if unknown.
        memory_total: All its memory in bytes; 0 if unknown.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    description: str
    backend: str
    type: Literal["cpu", "gpu", "igpu", "accelerator"]
    memory_free: int
    memory_total: int


class CpuVariant(Data):
    """The build of the CPU code that was chosen for this machine.

    Attributes:
        name: The variant, such as "haswell", "zen4" or "sapphirerapids"; "native" in a build with one variant.
        path: The file that it was loaded from.
        reason: Why this variant was chosen, in English.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    path: str
    reason: str


class BackendInfo(Data):
    """A library with the code for one kind of device, loaded or refused.

    Attributes:
        name: "CPU", "CUDA", "Metal" or "Vulkan"; the file name if it was not loaded.
        path: The file; the package's name if its version was refused.
        reason: Why it was not loaded, in English; "" if it was.
        n_devices: The number of devices that it found.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    path: str
    reason: str
    n_devices: int


def backends() -> List[BackendInfo]:
    """Return the backends of this package and of its plugins: the CPU variant in use, and those for GPUs.

    Raises:
        BackendInitError: No CPU variant runs on this machine, or not the one that ``LUUP_CPU_VARIANT`` names.

    Example:
        >>> [backend.name for backend in luup_agent.backends()]
        ['CPU']
    """
    return [BackendInfo(**values) for values in _native.backends()]


def devices() -> List[DeviceInfo]:
    """Return the devices that a model can run on.

    Raises:
        BackendInitError: No CPU variant runs on this machine, or not the one that ``LUUP_CPU_VARIANT`` names.

    Example:
        >>> [device.name for device in luup_agent.devices()]
        ['CPU']
    """
    return [DeviceInfo(**values) for values in _native.devices()]


def cpu_variant() -> CpuVariant:
    """Return the CPU variant in use. The environment variable ``LUUP_CPU_VARIANT`` selects another one.

    Raises:
        BackendInitError: No CPU variant runs on this machine, or not the one that ``LUUP_CPU_VARIANT`` names.

    Example:
        >>> variant = luup_agent.cpu_variant()  # such as CpuVariant(name='zen4', path='…', reason='…')
        >>> variant.name in variant.path
        True
    """
    return CpuVariant(**_native.cpu_variant())


def llama_version() -> str:
    """Return the version and commit of the built-in llama.cpp, such as ``"0.5.0-dev (0c1e57098)"``."""
    return _native.llama_version()
