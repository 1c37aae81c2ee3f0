"""An agent is copied with `fork` and saved with `save`; Python's own ways name these."""

import copy
import pickle

import pytest

from luup_agent import Agent, UnsupportedError
from luup_agent.testing import ScriptedModel


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_other_ways_name_these(way):
    with pytest.raises(UnsupportedError, match=r"agent.fork\(\).*agent.save\(\)"):
        way(Agent(ScriptedModel([])))
