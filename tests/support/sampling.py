"""Answers that a model writes at random under a schema."""

from luup_agent import _native


def answers(agent, schema, seeds, may_be_cut_off=False):
    """Return the complete answers of one run for each seed, all decoded together.

    With `may_be_cut_off` those that max_tokens or endless repetition ends are left out; otherwise they fail the test.
    """
    request = _native.RunRequest("Go on.", None, _native.OutputRequest("schema", schema))
    runs = [(_native.NativeRun(), agent._parts.settings._replace(seed=seed)) for seed in seeds]
    found = []
    try:
        for run, settings in runs:
            run.start(agent._parts.handle.native, settings, request)
        for run, _ in runs:
            kind = _native.EVENT_NONE
            while kind not in (_native.EVENT_DONE, _native.EVENT_ERROR):
                kind = run.next(-1)
                assert kind != _native.EVENT_RETRY, run.text()
                if kind == _native.EVENT_ERROR:
                    ended_early = "was cut off" in run.text() or "without end" in run.text()
                    assert ended_early, run.text()
                    assert may_be_cut_off, run.text()
                if kind == _native.EVENT_OUTPUT:
                    found.append(run.text())
                    run.review(None)
    finally:
        for run, _ in runs:
            run.close()
    return found
