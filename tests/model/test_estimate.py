"""The memory that a model needs, estimated from its header before it is loaded."""

import shutil

import pytest

from luup_agent import BackendInitError, InvalidParamError, Model, ModelLoadError, ModelNotFoundError, devices

GPUS = [device.name for device in devices() if device.type in ("gpu", "igpu")]


@pytest.mark.parametrize("context_size", [256, 2048])
@pytest.mark.parametrize("batch_size", [32, 512])
def test_the_estimate_is_what_the_load_takes(model_path, context_size, batch_size):
    options = {"context_size": context_size, "batch_size": batch_size, "max_sequences": 4}
    estimate = Model.estimate(model_path, **options)
    with Model.from_local(model_path, threads=1, **options) as model:
        info = model.get_info()
    assert estimate.memory_weights == pytest.approx(info.memory_weights, rel=0.02)
    assert estimate.memory_context == info.memory_context
    assert estimate.memory_compute == pytest.approx(info.memory_compute, rel=0.02)
    assert (estimate.context_size, estimate.layers, estimate.gpu_layers) == (context_size, info.layers, info.gpu_layers)


def test_it_adds_up(model_path):
    estimate = Model.estimate(model_path, gpu_layers=0)
    assert estimate.total == estimate.memory_weights + estimate.memory_context + estimate.memory_compute
    assert (estimate.memory_devices, estimate.devices_free) == (0, 0)
    # Where the CPU's kernels have a layout of their own, embeddings that are the output's weights too are kept twice.
    assert 0.9 < estimate.memory_weights / model_path.stat().st_size < 1.4
    assert estimate.fits in (True, None)


def test_nothing_is_allocated_for_it(model_path):
    """More context than any machine has room for."""
    small = Model.estimate(model_path, gpu_layers=0, context_size=1 << 12)
    large = Model.estimate(model_path, gpu_layers=0, context_size=1 << 24)
    assert large.memory_context == small.memory_context << 12
    assert large.memory_context > 300 << 30
    assert large.fits in (False, None)


@pytest.mark.gate
def test_it_is_quick_and_leaves_no_memory_behind(model_path, child):
    result = child(
        """
        import resource, sys, time
        from luup_agent import Model
        for round in range(20):
            Model.estimate(sys.argv[1], context_size=8192)
            if round == 2:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        """,
        model_path,
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 20_000  # kB; the weights are 97,000


def test_a_tiny_model_too(tiny_path):
    estimate = Model.estimate(tiny_path, context_size=256)
    with Model.from_local(tiny_path, context_size=256, threads=1) as model:
        info = model.get_info()
    assert (estimate.memory_context, estimate.context_size) == (info.memory_context, 256)


def test_what_is_wrong_is_told_as_by_a_load(model_path, tmp_path):
    with pytest.raises(ModelNotFoundError, match=r"no such model"):
        Model.estimate(tmp_path / "no such model.gguf")
    cut = tmp_path / "cut.gguf"
    shutil.copyfile(model_path, cut)
    with cut.open("rb+") as file:
        file.truncate(50_000)
    with pytest.raises(ModelLoadError, match=r"cut\.gguf"):
        Model.estimate(cut)
    with pytest.raises(InvalidParamError, match="context_size must be between 256"):
        Model.estimate(model_path, context_size=10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split_mode": "diagonal"}, "split_mode must be one of none, layer, row, not 'diagonal'"),
        ({"main_gpu": -1}, "main_gpu is -1"),
        ({"main_gpu": 99}, "main_gpu is 99, but . GPUs are used"),
        ({"main_gpu": 1.5}, "main_gpu must be an int"),
        ({"devices": "CUDA0"}, "devices must be a list or a tuple, not str"),
        ({"devices": []}, "devices must not be empty"),
        ({"devices": [0]}, r"devices\[0\] must be a str, not int"),
        ({"devices": ["CUDA0"], "gpu_layers": 0}, "devices are given, but gpu_layers is 0"),
        ({"devices": ["GPU"] * 1000}, "devices has more than"),
        ({"tensor_split": 1}, "tensor_split must be a list or a tuple, not int"),
        ({"tensor_split": ["1"]}, r"tensor_split\[0\] must be a float, not str"),
        ({"tensor_split": [1.0] * 9}, "tensor_split has 9 numbers, but . GPUs are used"),
    ],
)
def test_devices_that_make_no_sense_are_refused(model_path, options, message):
    with pytest.raises(InvalidParamError, match=message):
        Model.estimate(model_path, **options)
    with pytest.raises(InvalidParamError, match=message):
        Model.from_local(model_path, **options)


def test_a_device_that_is_not_there_is_named(model_path):
    for function in (Model.estimate, Model.from_local):
        with pytest.raises(BackendInitError, match="this machine has no GPU Abacus0"):
            function(model_path, devices=["Abacus0"])


@pytest.mark.skipif(bool(GPUS), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_never_replaced_in_silence(model_path):
    with pytest.raises(BackendInitError, match="gpu_layers is 1, but no GPU backend found a device"):
        Model.estimate(model_path, gpu_layers=1)


@pytest.mark.skipif(not GPUS, reason="there is no GPU")
def test_layers_on_a_gpu_are_counted_there(model_path):
    estimate = Model.estimate(model_path, devices=GPUS[:1])
    assert estimate.gpu_layers == estimate.layers
    assert estimate.memory_devices > estimate.memory_weights / 2
