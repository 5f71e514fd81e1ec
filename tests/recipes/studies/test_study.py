"""A study's file: which cells it has, what identifies them, and what is wrong with it, all at once."""

import re
import subprocess
import sys

import pytest

from auricle.recipes.studies.store import Store
from auricle.recipes.studies.study import FOLDER, StudyError, changed, find_study, read_study

CONTENT = {
    "recipe": "speech_commands",
    "fixed": {"number_of_epochs": 2, "frontend_options": {"mel": {"num_features": 64}}},
    "axes": {
        "frontend": ["mel", "leaf"],
        "net": {"small": {"encoder": "small_cnn"}, "large": {"encoder": "cnn14", "lr": 0.01}},
    },
    "seeds": "1-2",
    "baseline": {"frontend": "mel"},
    "tables": [
        {"title": "T", "rows": "net", "columns": "frontend", "values": {"small": {"leaf": 9}}}
    ],
}


def study(**changes):
    return read_study({**CONTENT, **changes}, "s", FOLDER)


def test_cells_are_the_product_of_axes_and_seeds():
    s = study()
    cells = s.cells()
    assert len({cell.name for cell in cells}) == len(cells) == 8
    words = s.words(cells[2])
    assert dict(zip(words[::2], words[1::2], strict=True)) == {
        "--number_of_epochs": "2",
        "--frontend_options.mel.num_features": "64",
        "--frontend": "mel",
        "--encoder": "cnn14",
        "--lr": "0.01",
        "--seed": "1",
    }


def test_a_cell_is_known_by_its_settings():
    keys = [cell.key for cell in study().cells()]
    same = [
        study(fixed={**CONTENT["fixed"], "batch_size": 64, "num_workers": 3, "device": "cpu"}),
        changed(study(), ["frontend=mel,leaf"], "1,2", ["cache_gb=1"]),
    ]
    for other in same:
        assert [cell.key for cell in other.cells()] == keys, "defaults and what changes no result"
    more = changed(study(), ["frontend=mel,leaf,sincnet"], "1-3", [])
    assert len(more.cells()) == 18 and {cell.key for cell in more.cells()} > set(keys)
    watched = changed(study(), [], "", ["logger=mlflow"], None, ["my_lobe.py", "other.py"])
    assert [cell.key for cell in watched.cells()] == keys
    words = watched.words(watched.cells()[0])
    where = words.index("--plugin")
    assert [word.rpartition("/")[2] for word in words[where + 1 : where + 3]] == [
        "my_lobe.py",
        "other.py",
    ]
    assert words[where + 1].startswith("/") and words[where - 1] == "mlflow"
    for option in ("batch_size=32", "mini_size=tiny", "data_folder=other"):
        other = changed(study(), [], "", [option])
        assert not {cell.key for cell in other.cells()} & set(keys), option


def test_an_experiment_is_part_of_the_settings():
    row = study(experiment="frontends_linear")
    by_hand = study(fixed={**CONTENT["fixed"], "warmup_epochs": 1.0, "batch_size": 32, "lr": 0.001})
    small = [
        {cell.key for cell in s.cells() if cell.labels["net"] == "small"} for s in (row, by_hand)
    ]
    assert small[0] == small[1]
    assert row.words(row.cells()[0])[:2] == ["--experiment", "frontends_linear"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"axis": {}}, "axis is no key of a study; did you mean 'axes'?"),
        ({"recipe": ""}, "recipe is missing.*auricle list recipes"),
        ({"seeds": "one"}, "seeds 'one': give whole numbers"),
        ({"axes": {**CONTENT["axes"], "lr": []}}, "axis lr must be a list"),
        ({"axes": {**CONTENT["axes"], "lr": [1, 1]}}, "axis lr has 1 twice"),
        ({"baseline": {"frontend": "mell"}}, "baseline frontend: mell"),
        ({"experiment": "nothing"}, "no experiment is called 'nothing'"),
        ({"yaml": "no.yaml"}, "no.yaml is not there"),
        ({"axes": {"frontend": ["mel"], "net": CONTENT["axes"]["net"]}}, "does not exist: frontend leaf"),
        ({"axes": {**CONTENT["axes"], "lr": [1, 2]}}, "T: the axis lr has no place"),
        ({"seeds": "1-30000"}, "120,000 cells"),
        ({"tables": [{**CONTENT["tables"][0], "values": {"small": {"leaf": "x"}}}]}, "small.leaf: 'x'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(change, says):
    with pytest.raises(StudyError) as refused:
        study(**change)
    assert re.search(says, str(refused.value)), refused.value


def test_changes_of_the_command_line_that_make_no_sense_are_named_together():
    with pytest.raises(StudyError) as refused:
        changed(study(), ["net=small,huge", "frontend"], "x", ["lr"])
    text = str(refused.value)
    for words in ("--axis net: huge is none of its values, small, large", "--axis frontend: give"):
        assert words in text
    assert "--set lr" in text and "seeds 'x'" in text


BOMB = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else '1'] * 9)}]" for i in range(9))


@pytest.mark.parametrize("text", ["a: [", "- 1", "recipe: \xff", BOMB, "fixed: &f {a: *f}"])
def test_a_file_that_is_no_study_is_named(text, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StudyError, match="study .*mine"):
        find_study(str(path))


def test_a_study_is_found_by_name_or_file():
    with pytest.raises(StudyError, match=r"named by its file, NAME\.yaml"):
        find_study("nothing_like_it")


STATUS = """
import sys
from auricle.recipes.cli import main
status = main(["study", "status", sys.argv[1], "--folder", sys.argv[2]])
heavy = {"torch", "matplotlib", "scipy", "speechbrain"} & set(sys.modules)
print(status, heavy)
"""


@pytest.mark.slow
def test_status_imports_nothing_heavy(tmp_path):
    (tmp_path / "s.yaml").write_text("recipe: speech_commands\naxes: {frontend: [mel, leaf]}\n")
    Store(tmp_path / "runs").open(find_study(str(tmp_path / "s.yaml")))
    words = [sys.executable, "-c", STATUS, str(tmp_path / "s.yaml"), str(tmp_path / "runs")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.stdout.endswith("2 waiting\n0 set()\n"), done.stdout + done.stderr


@pytest.mark.parametrize(
    "described",
    [{"log": [0, 1]}, {"between": [2, 1]}, {"of": []}, {"log": [1]}, {"to": [1, 2]}, [1, 2], {}],
)
def test_a_space_that_is_none_is_named(described):
    from auricle.recipes.studies.search import space_problems

    (problem,) = space_problems({"lr": described})
    assert problem.startswith("search lr: give {log: [LOW, HIGH]}")
    good = {"log": [0.1, 1]}, {"between": [0, 5]}, {"of": ["a", None]}
    assert space_problems(dict(enumerate(good))) == []


@pytest.mark.parametrize("readme", ["README.md", "recipes/studies/README.md"])
def test_the_files_of_the_readmes_are_studies(readme, tmp_path):
    text = (FOLDER.parents[1] / readme).read_text()
    (content,) = re.findall(r"```yaml\n(about:.*?)```", text, re.S)
    (tmp_path / "own.yaml").write_text("number_of_epochs: 30\n")
    (tmp_path / "my.yaml").write_text(content)
    assert len(find_study(str(tmp_path / "my.yaml")).cells()) == 12
