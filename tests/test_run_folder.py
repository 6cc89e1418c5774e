"""The small files of a run: round trips, damage, hostile content, names."""

import dataclasses
import json
import os

import pytest

from aae_jax.config import Config
from aae_jax.errors import RunError, UserError
from aae_jax.formats import FORMAT_VERSION
from aae_jax.run_folder import (
    RunFolder,
    make_new_folder,
    newest_run,
    open_run,
    seed_folder,
)
from aae_jax.run_record import RunRecord
from aae_jax.small_files import read_json, write_file, write_json, write_text

RECORD = RunRecord(
    config=Config(steps=60, hidden=(16, 16), image_size=(8, 8), prior_scale=5.0),
    image_shape=(8, 8, 1),
    n_train=360,
    dataset={"name": "tiny", "fingerprint": "ab" * 32, "class_names": ("a", "b")},
    environment={"python": "3.11", "cores": 2},
    command="train.py --steps 60",
    phases=("own",),
)


def stored_record(tmp_path, **changes):
    folder = RunFolder(tmp_path)
    folder.write_record(RECORD)
    stored = json.loads(folder.config_file.read_text()) | changes
    folder.config_file.write_text(json.dumps(stored))
    return folder, stored


def test_a_record_comes_back_as_it_was_written(tmp_path):
    folder, _ = stored_record(tmp_path)
    record = folder.read_record()
    assert record.config == RECORD.config
    assert record.phases == RECORD.phases
    assert record.image_shape == RECORD.image_shape
    assert record.dataset == RECORD.dataset | {"class_names": ["a", "b"]}
    assert dataclasses.replace(record, dataset=RECORD.dataset) == RECORD


@pytest.mark.parametrize(
    "changes",
    [
        {"format_version": 0},
        {"format_version": "1"},
        {"format_version": None},
        {"format_version": [FORMAT_VERSION]},
        {"config": None},
        {"config": []},
        {"config": {"modle": "aae"}},
        {"image_shape": [8, 8]},
        {"image_shape": [8, 8.5, 1]},
        {"image_shape": [8, 8, True]},
        {"image_shape": [8, 10**30, 1]},
        {"image_shape": "881"},
        {"n_train": 0},
        {"n_train": "many"},
        {"n_train": 1e308 * 10},
        {"dataset": {}},
        {"dataset": 7},
        {"dataset": {"name": 7, "fingerprint": "", "class_names": None}},
        {"dataset": {"name": "", "fingerprint": "", "class_names": [1]}},
        {"dataset": RECORD.dataset | {"shapes": 7}},
        {"dataset": RECORD.dataset | {"shapes": {"x_train": [-1]}}},
        {"dataset": RECORD.dataset | {"shapes": {"x_train": "many"}}},
        {"dataset": RECORD.dataset | {"shapes": {"x_train": 0}}},
        {"dataset": RECORD.dataset | {"shapes": {"x_train": ""}}},
        {"dataset": RECORD.dataset | {"before": [7]}},
        {"environment": 7},
        {"command": None},
        {"phases": [1]},
    ],
    ids=str,
)
def test_a_record_of_other_content_is_refused(tmp_path, changes):
    folder, _ = stored_record(tmp_path, **changes)
    with pytest.raises(UserError, match=r"config\.json"):
        folder.read_record()


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1e400},
        {"seed": 10**400},
        {"seed": "0"},
        {"hidden": 16},
        {"hidden": [10**9]},
        {"hidden": [[16]]},
        {"hidden": "16"},
        {"dataset": 7},
        {"dataset": None},
        {"model": ["aae"]},
        {"prior": {"import": "os"}},
        {"image_size": [8, 8, 8]},
        {"standardize_codes": "no"},
        {"reconstruction_rate": "1"},
        {"prior_shape": None},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_stored_config_of_other_content_is_refused(tmp_path, changes):
    folder, stored = stored_record(tmp_path)
    stored["config"] |= changes
    folder.config_file.write_text(json.dumps(stored))
    with pytest.raises(UserError):
        folder.read_record()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Expecting value"),
        ("[]", "not a JSON object"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "Infinity"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "4300"),
        ("{", "Expecting"),
        (b"\xff\xfe{}", "cannot be read"),
    ],
)
def test_json_that_is_none_is_refused(tmp_path, text, why):
    path = tmp_path / "config.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=why):
        read_json(path)


def test_files_that_are_absent_or_no_plain_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_json(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    with pytest.raises(UserError, match="not a plain file"):
        read_json(tmp_path / "pipe")
    with open(tmp_path / "large", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(UserError, match="larger than"):
        read_json(tmp_path / "large")


def line(step):
    return {"step": step, "losses": {"reconstruction": 0.1 / step}}


def test_the_log_grows_by_lines_and_is_cut_at_a_step(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.read_log() == []
    folder.cut_log(0)
    assert folder.read_log() == []
    lines = [line(step) for step in (18, 36, 54)]
    for each in lines:
        folder.append_log(each)
    assert folder.read_log() == lines
    before = folder.log_file.read_bytes()
    folder.cut_log(54)
    assert folder.read_log() == lines
    assert folder.log_file.read_bytes() == before
    folder.cut_log(40)
    assert folder.read_log() == lines[:2]


def test_a_last_line_that_was_cut_short_is_left_out(tmp_path):
    folder = RunFolder(tmp_path)
    folder.append_log(line(18))
    with open(folder.log_file, "a") as file:
        file.write('{"step": 36, "los')
    assert folder.read_log() == [line(18)]
    folder.cut_log(18)
    folder.append_log(line(36))
    assert folder.read_log() == [line(18), line(36)]


@pytest.mark.parametrize(
    "damaged",
    [
        '{"step": 18, "losses": {"reco',
        "",
        "7",
        '{"losses": {}}',
        '{"step": 18}',
        '{"step": 18.5, "losses": {}}',
        '{"step": 18, "losses": 3}',
        '{"step": 18, "losses": {"a": NaN}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_line_is_named(tmp_path, damaged):
    folder = RunFolder(tmp_path)
    folder.log_file.write_text(f"{json.dumps(line(9))}\n{damaged}\n")
    before = folder.log_file.read_bytes()
    for read in (folder.read_log, lambda: folder.cut_log(100)):
        with pytest.raises(UserError, match=r"line 2 of .* is damaged"):
            read()
    assert folder.log_file.read_bytes() == before


def test_a_number_that_is_not_finite_never_enters_the_log(tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        folder.append_log({"step": 1, "losses": {"generator": float("nan")}})
    assert not folder.log_file.exists()


def test_a_log_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(RunError, match=r"metrics\.jsonl could not be written"):
        RunFolder(tmp_path / "absent").append_log(line(1))


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, {"steps": 1})

    def half(file):
        file.write(b'{"steps":')
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match="No space left"):
        write_file(path, half)
    assert read_json(path) == {"steps": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["metrics.json"]
    with pytest.raises(RunError, match="could not be written"):
        write_text(tmp_path / "absent" / "file", "text")

    def stopped(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(path, stopped)
    assert read_json(path) == {"steps": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["metrics.json"]


def test_the_newest_run_is_the_one_that_was_started_last(tmp_path):
    root = tmp_path / "runs"
    with pytest.raises(UserError, match=r"no run under .*train\.py"):
        newest_run(root)
    root.mkdir()
    for age, name in enumerate(("b", "c", "a")):
        folder = RunFolder(root / name)
        folder.make()
        folder.write_record(RECORD)
        os.utime(folder.config_file, ns=(age, age))
    (root / "not-a-run").mkdir()
    assert newest_run(root).name == "a"


def test_a_new_run_gets_a_name_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Config(model="aae-joint", prior="swiss-roll")
    names = set()
    for _ in range(3):
        folder = make_new_folder(config)
        names.add(folder.name)
        assert folder.name[:15].replace("-", "").isdigit()
        assert "-aae-joint-swiss-roll" in folder.name
        assert ":" not in folder.name
    assert len(names) == 3
    assert {path.name for path in (tmp_path / "runs").iterdir()} == names


def test_no_folder_can_be_made_under_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").touch()
    with pytest.raises(UserError, match="cannot be made"):
        make_new_folder(Config())
    (tmp_path / "runs").unlink()
    (tmp_path / "runs").symlink_to(tmp_path / "not" / "mounted")
    with pytest.raises(UserError, match="cannot be made"):
        make_new_folder(Config())


def test_a_folder_that_holds_something_is_no_place_for_a_new_run(tmp_path):
    RunFolder(tmp_path / "absent").refuse_content()
    (tmp_path / ".lock").touch()  # killed before it wrote anything
    (tmp_path / "x.tmp").touch()
    RunFolder(tmp_path).refuse_content()
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(UserError, match="never overwritten"):
        RunFolder(tmp_path).refuse_content()
    with pytest.raises(UserError, match="never overwritten; choose another --run-dir"):
        RunFolder(tmp_path / "thesis.txt").refuse_content()
    (tmp_path / "config.json").touch()
    with pytest.raises(UserError, match="never overwritten; go on with it by --resume"):
        RunFolder(tmp_path).refuse_content()
    with pytest.raises(UserError, match="cannot be made"):
        RunFolder(tmp_path / "thesis.txt" / "run").make()


def test_only_a_folder_with_a_config_is_opened_as_a_run(tmp_path):
    with pytest.raises(UserError, match="does not exist; name one that train"):
        open_run(tmp_path / "absent")
    with pytest.raises(UserError, match="is not a run"):
        open_run(tmp_path)
    folder, _ = stored_record(tmp_path)
    assert open_run(tmp_path) == folder


def test_a_run_of_the_first_format_means_what_it_meant(tmp_path):
    """It says nothing of what came later, and did without."""
    kept = dataclasses.asdict(RECORD.config)
    came_later = ("encoder", "labels", "n_classes", "clusters", "batch_norm")
    came_later += ("shift", "head_distance", "consistency_weight", "consistency_radius")
    apart = ("classification_", "label_generator_")
    came_later += tuple(name for name in kept if name.startswith(apart))
    for name in came_later:
        kept.pop(name)
    folder, _ = stored_record(tmp_path, config=kept, format_version=1)
    config = dataclasses.asdict(folder.read_record().config)
    assert config.items() >= kept.items()
    assert (config["encoder"], config["batch_norm"]) == ("deterministic", False)
    assert (config["labels"], config["clusters"]) == ("all", None)
    assert config["consistency_weight"] == 0
    # Of today's version, all fields must be there.
    folder, _ = stored_record(tmp_path, config=kept)
    with pytest.raises(UserError, match="lacks the fields"):
        folder.read_record()


def test_a_run_of_a_later_format_asks_for_a_newer_version(tmp_path):
    folder, _ = stored_record(tmp_path, format_version=FORMAT_VERSION + 1)
    with pytest.raises(UserError, match=r"config\.json .* install a newer aae_jax"):
        folder.read_record()


def test_pictures_call_one_of_several_seeds_by_their_folder_too(tmp_path):
    place = tmp_path / "mine"
    assert RunFolder(place).title == "mine"
    assert seed_folder(place, 3).title == "mine/seed3"
    assert RunFolder(tmp_path / "seedling").title == "seedling"
