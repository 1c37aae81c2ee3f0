"""Functions of the whole library: versions, backends, devices, schemas."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

from luup_agent._gpu_packages import find_plugins
from luup_agent._json import check_numbers
from luup_agent._logging import logger
from luup_agent._luup_cffi import lib
from luup_agent._native.diagnostics import check, error_message
from luup_agent._native.values import encode_path, encode_text, new_output, to_dict, to_text
from luup_agent._threads import first_use

_DEVICE_TYPES: Dict[int, str] = {
    lib.LUUP_DEVICE_CPU: "cpu",
    lib.LUUP_DEVICE_GPU: "gpu",
    lib.LUUP_DEVICE_IGPU: "igpu",
    lib.LUUP_DEVICE_ACCELERATOR: "accelerator",
}


def version() -> str:
    """Return the C library's version."""
    return to_text(lib.luup_version())


def llama_version() -> str:
    """Return the version and commit of the llama.cpp inside."""
    return to_text(lib.luup_llama_version())


def function_names() -> List[str]:
    """Return the names of the C functions that the compiled module declares."""
    return sorted(name for name in dir(lib) if name.startswith("luup_") and not name.startswith("luup_py_"))


def check_schema(schema: str) -> None:
    """Check that the library can enforce a JSON schema.

    Raises:
        InvalidSchemaError: It can't; the message has the JSON pointer of the unsupported part.
    """
    check_numbers(schema)
    check(lib.luup_schema_check(encode_text("schema", schema)))


def check_pattern(pattern: str) -> None:
    """Check that the library can hold an answer to a regular expression.

    Raises:
        InvalidSchemaError: It can't; the message has the reason.
    """
    check(lib.luup_pattern_check(encode_text("pattern", pattern)))


_backends_added = False


def load_backends() -> None:
    """Load all backends. The first call also registers the packages with GPU backends."""
    global _backends_added
    with first_use:
        if not _backends_added:
            for plugin in find_plugins():
                _add_backend(plugin.package, plugin.version, plugin.load)
            _backends_added = True
    check(lib.luup_backends_load())


def _add_backend(package: str, version: str, load: Callable[[], str]) -> None:
    """Register a package. One that can't be used is only logged: models still load, and need it only for a GPU."""
    folder = package
    if version == to_text(lib.luup_version()):
        try:
            folder = load()
        except Exception as error:  # the package's own code may raise anything
            logger.warning("%s can't be imported: %s: %s", package, type(error).__name__, error)
            return
    code = lib.luup_backends_add(encode_path(f"the folder of {package}", folder), encode_text("version", version))
    if code:
        logger.warning("%s", error_message(code))


def backends() -> List[Dict[str, Any]]:
    """Return the loaded and the refused backends."""
    load_backends()
    return [_get("luup_backend_info", lib.luup_backend_get, index) for index in range(lib.luup_backend_count())]


def devices() -> List[Dict[str, Any]]:
    """Return the devices that a model can run on."""
    load_backends()
    found = [_get("luup_device_info", lib.luup_device_get, index) for index in range(lib.luup_device_count())]
    return [{**values, "type": _DEVICE_TYPES[values["type"]]} for values in found]


def _get(type_name: str, function: Any, index: int) -> Dict[str, Any]:
    info = new_output(type_name)
    check(function(index, info))
    return to_dict(info)


def cpu_variant() -> Dict[str, Any]:
    """Return the CPU variant in use."""
    load_backends()
    variant = new_output("luup_cpu_variant")
    check(lib.luup_cpu_variant_get(variant))
    return to_dict(variant)
