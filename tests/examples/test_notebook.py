"""examples/notebook.ipynb runs from its first cell to its last, and interrupting a cell leaves a usable kernel."""

import asyncio
import json
import re
import sys
import threading
import time
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "notebook.ipynb"
# Of Jupyter's own parts.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture
def client_of(tmp_path, monkeypatch):
    """Makes clients of a notebook whose kernel runs this Python, with the settings of Jupyter in an empty folder."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    spec = tmp_path / "jupyter_data_dir" / "kernels" / "python3"
    spec.mkdir(parents=True)
    kernel = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
    }
    spec.joinpath("kernel.json").write_text(json.dumps(kernel))

    def make(notebook):
        return nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources={})

    return make


def output_of(cell):
    texts = []
    for output in cell.outputs:
        texts.append(output.get("text", ""))
        texts.extend(str(value) for value in output.get("data", {}).values())
    return "".join(texts)


def test_the_notebook_runs(client_of, model_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    pytest.importorskip("tqdm")
    notebook = nbformat.read(str(NOTEBOOK), as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "it is stored without outputs"
    for cell in notebook.cells:
        cell.source = cell.source.replace('catalog.resolve("smollm2")', repr(str(model_path)))
    client_of(notebook).execute()
    texts = [output_of(cell) for cell in notebook.cells if cell.cell_type == "code"]
    assert "<Model " in texts[0]
    assert "Paris" in texts[1]
    assert "stop</small>" in texts[1]
    assert re.search(r"\d+ tokens", texts[2])
    assert "AgentSettings(temperature=0, max_tokens=32)" in texts[3]
    assert "<code>add(" in texts[4]
    assert "8" in texts[4]
    assert "Person(name='Anna', city='Oslo')" in texts[5]
    assert "40 items" in texts[6]
    assert "20 more rows" in texts[6]
    assert "40/40" in texts[6]
    assert any("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))
    assert "Tokyo" in texts[8]
    assert "Cairo" in texts[8]


@pytest.mark.parametrize(
    "line",
    [
        "agent.generate('Write letters.', output_type=long)",
        "list(agent.map(['Write letters.'] * 50, output_type=long))",
        "await agent.generate_async('Write letters.', output_type=long)",
    ],
)
def test_interrupting_a_cell_leaves_the_kernel_usable(client_of, model_path, line):
    setup = nbformat.v4.new_code_cell(
        "from luup_agent import Agent, Grammar, Model\n"
        f"model = Model.from_local({str(model_path)!r}, threads=1)\n"
        "agent = Agent(model, temperature=1, max_tokens=6000)\n"
        'long = Grammar(\'root ::= ("yes " | "no "){5000}\')'
    )
    long = nbformat.v4.new_code_cell(line)
    after = nbformat.v4.new_code_cell(
        "import time\n"
        "while model.stats().runs_active:\n"
        "    time.sleep(0.01)\n"
        "agent.settings.update(temperature=0, max_tokens=16)\n"
        "print(len(agent.messages), agent.generate('What is the capital of France?'))\n"
        "model.close()"
    )
    notebook = nbformat.v4.new_notebook(cells=[setup, long, after])
    client = client_of(notebook)
    with client.setup_kernel():
        client.execute_cell(setup, 0)
        began = time.monotonic()

        def interrupt():
            time.sleep(1.5)
            asyncio.run(client.km.interrupt_kernel())

        helper = threading.Thread(target=interrupt)
        helper.start()
        with pytest.raises(nbclient.exceptions.CellExecutionError, match=r"KeyboardInterrupt|CancelledError"):
            client.execute_cell(long, 1)
        helper.join()
        assert time.monotonic() - began < 60
        client.execute_cell(after, 2)
    assert output_of(after).startswith("0 ")
    assert "Paris" in output_of(after)
