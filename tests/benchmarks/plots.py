"""Plots of the tables of docs/BENCHMARKS.md and README.md, as pictures of the documentation.

    python tests/benchmarks/plots.py [FOLDER]    FOLDER: docs/images by default

Needs matplotlib (`pip install --group docs`) and measures nothing: growth.py and compare.py made the tables. growth.py
draws its own measurements with the same function.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INK, DIM, ACCENT, SECOND = "#211f1c", "#6b665f", "#4f46e5", "#b0560f"


def read_tables(path):
    """Return the tables of a page of Markdown: each a list of rows, each a list of cells without their marks."""
    tables = []
    for block in re.findall(r"(?:^\|.*\n)+", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        rows = [[cell.strip().strip("*") for cell in line.strip().strip("|").split("|")] for line in block.splitlines()]
        tables.append([row for row in rows if not re.fullmatch(r"[-\s]*", "".join(row))])
    return tables


def number(cell):
    """Return the first number of a cell, such as 1110.0 of "1,110 tokens/s"."""
    return float(re.search(r"[\d.,]+", cell.replace("*", "")).group().replace(",", ""))


def growth(path=ROOT / "docs" / "BENCHMARKS.md"):
    """Return the measurements of growth.py that a page has, in the form of growth.py's JSON."""
    tables = {table[0][0]: table for table in read_tables(path)}
    agents, prompt, vocabulary = (tables[name] for name in ("agents", "prompt tokens", "vocabulary"))
    return {
        "agents": {int(number(count)): number(speed) for count, speed in zip(agents[0][1:], agents[1][1:])},
        "prompt": {int(number(length)): [number(first)] for length, first in zip(prompt[0][1:], prompt[1][1:])},
        "vocabulary": {
            int(number(size)): [number(free), number(typed)]
            for size, free, typed in zip(vocabulary[0][1:], vocabulary[1][1:], vocabulary[2][1:])
        },
    }


def peers(path=ROOT / "README.md"):
    """Return the libraries, and for each row of the table of speeds its title and a number for each library."""
    [table] = [table for table in read_tables(path) if any("16 agents" in row[0] for row in table)]
    return table[0][1:], [(row[0], [number(cell) for cell in row[1:]]) for row in table[1:]]


def serving(path=ROOT / "docs" / "BENCHMARKS.md"):
    """Return the servers of the table of serving.py, and for each row its title and a number for each of them."""
    [table] = [table for table in read_tables(path) if table[0][0] == "streaming clients"]
    return table[0][1:], [(row[0], [number(cell) for cell in row[1:]]) for row in table[1:] if all(row)]


def shown(value):
    """Return a number as it is written in a plot: with three digits."""
    return f"{float(f'{value:.3g}'):,g}"


def new_figure(columns, width, height):
    """Return a figure with so many plots side by side, in the style of the site, and their axes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update(
        {
            "svg.fonttype": "none",  # text stays text: it can be searched, and tests read it
            "svg.hashsalt": "luup",  # the same picture each time
            "font.family": "sans-serif",
            "text.color": INK,
            "axes.edgecolor": "#a9a39a",
            "axes.labelcolor": DIM,
            "xtick.color": DIM,
            "ytick.color": DIM,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    figure, axes = pyplot.subplots(1, columns, figsize=(width, height), squeeze=False)
    return figure, axes[0]


def save(figure, path):
    """Write a figure without a date, so that it changes with its numbers only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout(w_pad=1.5)
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def line(axis, values, color=ACCENT, label=None, above=True):
    """Draw a line with a mark and the number at each point."""
    axis.plot(list(values), list(values.values()), marker="o", color=color, label=label)
    for x, y in values.items():
        axis.annotate(
            shown(y), (x, y), (0, 7 if above else -14), textcoords="offset points", ha="center", fontsize=8, color=color
        )


def draw_growth(results, path):
    """Draw the measurements of growth.py."""
    figure, axes = new_figure(3, 10.5, 3.4)
    line(axes[0], results["agents"])
    axes[0].set(xscale="log", xlabel="agents", ylim=(0, 1.15 * max(results["agents"].values())))
    axes[0].set_title("tokens/s of all agents", fontsize=10, loc="left")
    axes[0].set_xticks(list(results["agents"]), [f"{count}" for count in results["agents"]], minor=False)
    axes[0].minorticks_off()
    line(axes[1], {length: row[0] for length, row in results["prompt"].items()})
    axes[1].set(xscale="log", yscale="log", xlabel="tokens of the prompt")
    axes[1].set_title("seconds to the first token", fontsize=10, loc="left")
    axes[1].set_xticks(list(results["prompt"]), [f"{length:,}" for length in results["prompt"]], fontsize=7)
    axes[1].minorticks_off()
    for column, (label, color) in enumerate((("free text", ACCENT), ("constrained by a schema", SECOND))):
        values = {size: row[column] for size, row in results["vocabulary"].items()}
        line(axes[2], values, color, label, above=column == 1)
    axes[2].set(xlabel="tokens in the vocabulary", ylim=(0, 3.2), xlim=(0, 300_000))
    axes[2].set_title("ms of CPU per token, a model of one layer", fontsize=10, loc="left")
    axes[2].set_xticks(list(results["vocabulary"]), [f"{size:,}" for size in results["vocabulary"]], fontsize=8)
    axes[2].legend(frameon=False, fontsize=8, loc="upper left")
    save(figure, path)


def draw_peers(libraries, rows, path):
    """Draw the table of speeds: bars for each library."""
    figure, axes = new_figure(len(rows), 9, 2.4)
    for axis, (title, values) in zip(axes, rows):
        bars = axis.barh(range(len(values)), values, color=[ACCENT] + ["#cfcac2"] * (len(values) - 1), height=0.62)
        axis.bar_label(bars, [shown(value) for value in values], padding=4, fontsize=9)
        axis.set_yticks(range(len(values)), libraries if axis is axes[0] else [""] * len(values), fontsize=9, color=INK)
        axis.set(xlim=(0, 1.25 * max(values)))
        axis.invert_yaxis()
        axis.set_xticks([])
        axis.spines["bottom"].set_visible(False)
        axis.tick_params(left=False)
        axis.set_title(title, fontsize=9, loc="left")
    save(figure, path)


def title_of(clients):
    """Return the title of a plot of so many clients of a server."""
    return f"streaming clients: {clients},\ntokens/s (more is better)"


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    draw_growth(growth(), folder / "growth.svg")
    libraries, rows = peers()
    names = [
        ("16 agents with one\nprompt, cold, s", 0),
        ("a typed object of\nsix fields, s", 1),
        ("first token of later\nturns, s", 2),
        ("decoding, streamed,\ntokens/s (more is better)", 3),
    ]
    draw_peers(libraries, [(name, rows[index][1]) for name, index in names], folder / "peers.svg")
    servers, speeds = serving()
    draw_peers(servers, [(title_of(clients), values) for clients, values in speeds], folder / "serving.svg")


if __name__ == "__main__":
    main()
