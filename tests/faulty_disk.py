"""Go on with a run, break its disk, ask for a save; mend the disk, go on again.

    python tests/faulty_disk.py full|forbidden RUN DATA

Run in a namespace of its own, see `test_faulty_disk`. Prints how both trainings ended.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from scripts import ROOT, Ended, wait, wait_until

from aae_jax.run_folder import RunFolder

LEFT = 2**18  # bytes: enough for the log, too few for a checkpoint


def fill(folder: RunFolder) -> Callable[[], None]:
    """Leave so much that the log can be written. Returns what frees it again."""
    filler = folder.path.parent / "filler"
    disk = os.statvfs(folder.path)
    filler.write_bytes(bytes(disk.f_bavail * disk.f_frsize - LEFT))
    return filler.unlink


def forbid(folder: RunFolder) -> Callable[[], None]:
    """Take the right to write checkpoints. Returns what gives it back."""
    folder.checkpoints.chmod(0o500)
    return lambda: folder.checkpoints.chmod(0o700)


def resume(folder: RunFolder, data: str, then: Callable[[], None]) -> Ended:
    """Go on, do something when the training is on its way, and ask it to stop."""
    before = folder.log_file.stat().st_ino
    flags = ("--resume", "--run-dir", folder.path, "--dataset", data, "--quiet")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *map(str, flags)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def on_its_way() -> bool:
        rewritten = folder.log_file.stat().st_ino != before
        return rewritten and folder.read_log()[-1]["step"] > folder_step

    folder_step = folder.read_log()[-1]["step"]
    wait_until(on_its_way, process)
    process.send_signal(signal.SIGSTOP)  # or its log takes what is left
    then()
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    return wait(process)


def main() -> None:
    """See above."""
    fault, place, data = sys.argv[1:]
    folder, mend = RunFolder(Path(place)), []
    break_it = {"full": fill, "forbidden": forbid}[fault]
    broken = resume(folder, data, lambda: mend.append(break_it(folder)))
    mend[0]()
    mended = resume(folder, data, lambda: None)
    print(json.dumps([asdict(broken), asdict(mended)]))


if __name__ == "__main__":
    main()
