"""The README's Python runs as it stands."""

import re
import subprocess
import sys

from scripts import DEADLINE, ROOT


def test_the_examples_of_the_readme_run(tmp_path):
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    assert blocks
    assert len(blocks) == text.count("```python")
    # One after the other, as a reader would type them, in a process without our hooks.
    ended = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", "\n".join(blocks)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert ended.returncode == 0, ended.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"runs"}
