"""What a caller gets, and where it may be asked for."""

import pytest

from edge_sdk.errors import ConfigError, DeviceError
from edge_sdk.status import Status, health, wanted
from tests.moments import moment

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "openmetrics"),
        ("*/*", "openmetrics"),
        (PROMETHEUS, "openmetrics"),
        ("application/openmetrics-text; version=1.0.0", "openmetrics"),
        ("text/plain;version=0.0.4;q=1,*/*;q=0.1", "prometheus"),  # VictoriaMetrics
        ("text/plain", "prometheus"),
        (BROWSER, "prometheus"),
        ("text/plain;q=0.5, application/openmetrics-text;q=0.9", "openmetrics"),
        ("text/plain;q=much, ;;,=", "openmetrics"),
    ],
)
def test_the_format_is_what_the_caller_likes_best(accept, form):
    assert wanted(accept) == form


def test_health_names_what_is_wrong():
    now = moment(sources=2, sinks=1)
    assert (health(now)["health"], health(now)["problems"]) == ("ok", [])
    now.sources[1].connected, now.sources[1].problem = False, "unplugged"
    said = health(now)
    assert said["health"] == "degraded"
    assert said["problems"] == ["mqtt://broker/plant/line-1/+/imu: unplugged"]
    assert said["sources"][1]["connected"] is False
    assert said["ledger"]["balanced"] is True
    assert said["sinks"][0]["delivered"] == 1000


@pytest.mark.parametrize(
    "listen",
    ["", "host", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:70000", "::1", "0.0.0.0", "a..b:1", "\0:1"],
)
def test_what_is_no_address_is_said(listen):
    with pytest.raises(ConfigError, match=r"status: .*expected HOST:PORT or a port"):
        Status(moment, listen).start()


@pytest.mark.parametrize("listen", ["0", ":0", "127.0.0.1:0"])
def test_only_what_is_written_out_is_not_loopback(listen):
    with Status(moment, listen) as status:
        status.start()
        assert status.address.startswith("127.0.0.1:")
        status.close()


def test_a_taken_port_is_said_in_one_line():
    with Status(moment, "127.0.0.1:0") as first:
        first.start()
        second = Status(moment, first.address)
        with pytest.raises(
            DeviceError, match="cannot listen on .*found Address already in use; give another"
        ):
            second.start()
        second.close()
