"""Power that is cut while something is deployed: one release is left, whole, and it runs."""

import os
import random
import time

import pytest

from tests.integration.deploy.conftest import APPS, is_whole
from tests.integration.deploy.waiting import read_until, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]
CUTS = int(os.environ.get("EDGEML_POWER_CUTS", "3"))
#: Of the first cuts one comes in each of these; the others come whenever it happens.
PHASES = ["installing beside what runs", "switching", "watching"]


@pytest.fixture(scope="module")
def duration_s(serving):
    """How long a deployment takes on this machine."""
    began = time.monotonic()
    serving.deploy("--version", "measured")
    return time.monotonic() - began


@pytest.mark.parametrize("cut", range(CUTS))
def test_a_power_cut_leaves_exactly_one_whole_release(serving, request, cut):
    machine, version = serving.machine, f"cut-{cut}"
    share = random.Random(cut).random()
    random_s = share * request.getfixturevalue("duration_s") if cut >= len(PHASES) else 0
    before = serving.running()
    with serving.start(*serving.words("--version", version)) as process:
        if cut < len(PHASES):
            read_until(process, PHASES[cut])
        else:
            time.sleep(random_s)
        machine.cut_power()
        process.communicate(timeout=1200)
    machine.boot()
    now = wait_for(lambda: settled(serving))
    assert now in (before, version)
    assert cut >= len(PHASES) or now == before
    assert is_whole(serving)
    assert machine.ask(f"find {APPS} -name '*.part'") == ""
    assert len(machine.ask(f"pgrep -f '[e]dge_sdk run .*/{serving.name}/'").split()) == 1


def settled(desk):
    """The version that runs, once nothing is on trial and it serves."""
    told = desk.status()
    if told["on_trial"] or told["current"] is None or told.get("state") != "active":
        return None
    version = str(told["current"]["version"])
    return version if desk.serves(version) else None
