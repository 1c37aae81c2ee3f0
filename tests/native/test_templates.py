"""Every chat template that llama.cpp bundles: what it tells the model of tools, how the model's answer is read."""

import subprocess

import pytest


@pytest.mark.slow
def test_every_bundled_template_round_trips(tool, templates, marked_path):
    """Nothing is lost on the way to the model, and calls as the template writes them come back, one or several."""
    assert len(templates) >= 60
    result = subprocess.run(
        [str(tool("luup-template-cases")), str(marked_path), *[str(template) for template in templates]],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr[-2000:]
    lines = [line for line in result.stdout.splitlines() if line.startswith("ok")]
    assert len(lines) == len(templates)
    native = [line for line in lines if ": native" in line]
    assert len(native) >= 45, "templates whose own format is not used any more:\n" + "\n".join(lines)
