"""What a disk would hold if the power went out: only what was flushed is sure."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

Tree = dict[str, "bytes | Tree"]
Names = dict[str, tuple[int, bool]]


class PowerCut:
    """Notes what changes under a folder, and what a cut after that would leave.

    That is two trees each time, as file systems may order their work in two ways: names
    are those of their folder's last flush, or those of now. A file's content is that of
    its last flush, and nothing if there was none.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.trees: list[Tree] = []
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, Names] = {}
        self._held: list[int] = []  # what is open keeps its inode's number

    def flushed(self, path: Path) -> None:
        """Note that a file's content, or a folder's names, are on disk."""
        self._held.append(os.open(path, os.O_RDONLY))
        if path.is_dir():
            self._names[path.stat().st_ino] = _names(path)
        else:
            self._contents[path.stat().st_ino] = path.read_bytes()

    def cut(self) -> list[Tree]:
        """The trees that a cut would leave now."""
        folders = [path for path in (self.root, *self.root.rglob("*")) if path.is_dir()]
        now = {path.stat().st_ino: _names(path) for path in folders}
        root = self.root.stat().st_ino
        return [self._tree(root, names) for names in (self._names, now)]

    def note(self) -> None:
        """Keep the trees of a cut at this moment, each once."""
        self.trees += [tree for tree in self.cut() if tree not in self.trees]

    def close(self) -> None:
        """Let go of all inodes."""
        for descriptor in self._held:
            os.close(descriptor)

    def _tree(self, folder: int, names: dict[int, Names]) -> Tree:
        return {
            name: self._tree(inode, names)
            if is_folder
            else self._contents.get(inode, b"")
            for name, (inode, is_folder) in names.get(folder, {}).items()
        }


def _names(folder: Path) -> Names:
    """Inode of each name, and whether it is a folder's."""
    with os.scandir(folder) as entries:
        return {each.name: (each.inode(), each.is_dir()) for each in entries}


def write_tree(tree: Tree, place: Path) -> Path:
    """Make a folder of a tree."""
    place.mkdir()
    for name, content in tree.items():
        if isinstance(content, bytes):
            (place / name).write_bytes(content)
        else:
            write_tree(content, place / name)
    return place


@contextmanager
def watched(root: Path) -> Iterator[PowerCut]:
    """Note what is flushed, renamed and deleted under a folder, all on disk before."""
    power = PowerCut(root)
    for path in (root, *root.rglob("*")):
        power.flushed(path)
    fsync = os.fsync

    def noted_fsync(descriptor: int) -> None:
        fsync(descriptor)
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path.is_relative_to(root):
            power.flushed(path)
            power.note()

    def noted(change):
        def changed(*arguments, **options):
            change(*arguments, **options)
            power.note()

        return changed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", noted_fsync)
        for name in ("rename", "replace", "unlink", "rmdir"):
            patch.setattr(os, name, noted(getattr(os, name)))
        try:
            yield power
        finally:
            power.close()
