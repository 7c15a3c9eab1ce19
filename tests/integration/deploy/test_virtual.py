"""The story of a Raspberry Pi on a whole computer: its own kernel, another processor, a disk, and a plug.

What is tested in the container (bad releases, faults, trust, the walk) runs on this machine, too, with
EDGEML_MACHINE=vm; here is what every run of the tests sees of it.
"""

import pytest

from tests.integration.deploy.conftest import is_whole, sitting
from tests.integration.deploy.waiting import read_until, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]
LARGEST_MB = 130


def test_from_nothing_to_a_service_that_outlives_bad_releases_and_power_cuts(virtual, signing_key, tmp_path):
    with sitting(virtual, signing_key, tmp_path / "pipeline", "press-7") as desk:
        assert desk.deploy("--version", "good", window=1)["state"] == "it works"
        assert int(virtual.ask("du -sm /var/lib/edgeml").split()[0]) <= LARGEST_MB

        desk.write('url = "synthetic:sine"\nspeed = 1\nseconds = 1')
        told = desk.deploy("--version", "short", status=1, window=60)
        assert told["found"].startswith("it ended")
        assert told["remedy"] == "good runs again"

        desk.write(version="2")
        with desk.start(*desk.words("--version", "cut", window=60)) as process:
            read_until(process, "watching")
            virtual.cut_power()
            process.communicate(timeout=600)
        virtual.boot()
        wait_for(lambda: desk.serves("good"))
        assert is_whole(desk)
        known = {each["version"]: each["verdict"] for each in desk.status()["releases"]}
        assert known == {"good": "proving", "short": "refused", "cut": "refused"}
