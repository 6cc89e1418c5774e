"""Stopping: the first signal is a request, the second ends the process."""

import contextlib
import signal
import subprocess
import sys
import threading

import pytest

from aae_jax.signals import STOPPING, Interrupted, StopRequest

WAIT = """
from aae_jax.signals import StopRequest
with StopRequest() as stop:
    print("ready", flush=True)
    while stop.number is None:
        pass
    print(stop.number, flush=True)
    while True:
        pass
"""
COMPILED = """
import jax
from aae_jax.signals import StopRequest
endless = jax.jit(lambda n: jax.lax.while_loop(lambda n: n == 0, lambda n: n * 2, n))
with StopRequest() as stop:
    print("ready", flush=True)
    endless(0).block_until_ready()
"""
HEARD = "stopping: saving first; a second signal ends at once\n"


@contextlib.contextmanager
def waiting(program):
    """A process that runs the program; nothing is left of it afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def send_until_it_ends(process, number):
    """Again and again, as somebody does who is impatient."""
    while process.poll() is None:
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)


@pytest.mark.parametrize("first", STOPPING)
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_the_process_at_once(first, second):
    with waiting(WAIT) as process:
        process.send_signal(first)
        assert process.stdout.readline() == f"{int(first)}\n"
        process.send_signal(signal.SIGHUP)  # a terminal that is closed sends two
        send_until_it_ends(process, second)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + second
    assert stderr == f"\n{HEARD}"


def test_a_compiled_program_that_keeps_python_busy_is_ended_too():
    with waiting(COMPILED) as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() + process.stderr.readline() == f"\n{HEARD}"
        send_until_it_ends(process, signal.SIGINT)
    assert process.returncode == 130


def test_one_that_comes_twice_at_once_counts_once():
    with waiting(WAIT) as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == f"{int(signal.SIGTERM)}\n"
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130


def test_what_handled_signals_before_does_so_again_afterwards():
    before = [signal.getsignal(number) for number in STOPPING]
    with StopRequest() as stop:
        assert not set(before) & {signal.getsignal(number) for number in STOPPING}
        assert stop.number is None
    assert [signal.getsignal(number) for number in STOPPING] == before


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert stop.number == signal.SIGTERM
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_catches_every_error_does_not_catch_a_stop():
    assert issubclass(Interrupted, KeyboardInterrupt)


def test_outside_the_main_thread_nothing_is_handled():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def body():
        with StopRequest() as stop:
            seen.append((signal.getsignal(signal.SIGINT), stop.number))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [(before, None)]


@pytest.mark.parametrize(("number", "status"), [(2, 130), (15, 143)])
def test_the_exit_status_is_that_of_the_shell(number, status):
    assert Interrupted(number, "stopped").exit_status == status


def test_a_stop_that_python_drops_ends_the_script_all_the_same():
    """As in a callback of the garbage collector, where an exception goes nowhere."""
    program = """
import sys
from aae_jax.failures import exit_status

class Dropping:
    def __del__(self):
        raise KeyboardInterrupt

def main():
    Dropping()
    print("went on")

sys.exit(exit_status(main, script="train.py"))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "train.py: stopped; what was saved before is intact\n"
