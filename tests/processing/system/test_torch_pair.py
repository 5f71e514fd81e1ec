"""Which torch and torchaudio belong together, and what is said where they do not."""

import os
import subprocess
import sys

import pytest

from auricle.processing.system.torch_pair import misfit


@pytest.mark.parametrize(
    "torch, torchaudio",
    [
        ("2.6.0", "2.6.0"),
        ("2.8.0+cu128", "2.8.0+cpu"),
        ("2.9.1", "2.9.0"),
        ("2.8.0a0+nv25.05", "2.8.0a0"),
        ("2.11.0", "2.11.0"),
        ("2.12.1", "2.11.0"),
        ("2.14.1", "2.11.0"),
        ("2.13.0", "2.11.1"),
        ("2.15.0", "2.11.1"),
    ],
)
def test_a_pair_that_belongs_together(torch, torchaudio):
    assert misfit(torch, torchaudio) is None


@pytest.mark.parametrize(
    "torch, torchaudio, advice",
    [
        ("2.5.1", "2.5.1", "torch==2.11.0 torchaudio==2.11.0"),
        ("1.13.1", "0.13.1", "torch==2.11.0 torchaudio==2.11.0"),
        ("2.8.0+cu128", "2.7.1", "torch==2.8.0 torchaudio==2.8.0"),
        ("2.10.0", "2.11.1", "torch==2.10.0 torchaudio==2.10.0"),
        ("2.11.0", "2.11.1", "torch==2.11.0 torchaudio==2.11.0"),
        ("2.12.1", "2.11.1", "torch==2.12.1 torchaudio==2.11.0"),
        ("2.15.0", "2.11.0", "torch==2.15.0 torchaudio==2.11.1"),
    ],
)
def test_a_pair_that_does_not_says_what_to_run(torch, torchaudio, advice):
    message = misfit(torch, torchaudio)
    assert f"torch {torch}" in message and message.endswith(f"pip install {advice}")


def test_it_is_said_before_torch_is_imported(tmp_path):
    for name, version in (("torch", "2.5.1"), ("torchaudio", "2.8.0")):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    code = (
        "import sys\n"
        "try: import auricle.lobes\n"
        "except ImportError as error: print(error, 'torch' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "torch 2.5.1" in said.stdout and said.stdout.endswith("False\n")
