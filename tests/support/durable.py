"""The files of durable runs."""

import json


def records(folder, run_id="job"):
    """Return the records of a run, the oldest first."""
    return [json.loads(line) for line in (folder / f"{run_id}.run").read_text().splitlines()]
