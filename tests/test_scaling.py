"""The model of a step on many devices, and the page that shows it."""

import json

import pytest
import scaling
from scaling import NUMBERS, PAGE, Computer, Network


def test_a_computer_is_found_in_its_steps():
    computer = Computer(fixed=0.02, each=0.0005)
    rows = [{"images": n, "seconds": 0.02 + 0.0005 * n} for n in (16, 64, 256)]
    found = scaling.fit_computer(rows)
    assert (found.fixed, found.each) == pytest.approx((computer.fixed, computer.each))


def test_a_network_is_found_in_its_all_reduces():
    network = Network(latency=0.001, rate=1e9)
    rows = [
        {
            "devices": devices,
            "arrays": arrays,
            "bytes": size,
            "seconds": network.all_reduce(arrays, size, devices),
        }
        for devices in (2, 4, 8)
        for arrays, size in ((1, 4000), (1, 4_000_000), (12, 14_000_000))
    ]
    found = scaling.fit_network(rows)
    assert (found.latency, found.rate) == pytest.approx((0.001, 1e9))


def test_an_all_reduce_sends_what_it_must():
    """Each device sends its share of each half, and gets the others' sums."""
    network = Network(latency=0.0, rate=1.0)
    assert network.all_reduce(3, 100, 1) == 0
    assert network.all_reduce(3, 100, 2) == pytest.approx(100)
    assert network.all_reduce(3, 100, 1024) == pytest.approx(200, rel=2e-3)
    alone, together = Network(1.0, 1e9), Network(1.0, 1e9, groups=True)
    assert alone.all_reduce(12, 0, 4) == 12 * together.all_reduce(12, 0, 4) == 48


def test_the_page_shows_what_was_measured():
    text = PAGE.read_text()
    shown = text.split(scaling.BEGIN)[1].split(scaling.END)[0]
    assert shown.strip() == scaling.tables(json.loads(NUMBERS.read_text())).strip()
