"""`auricle convert` on the command line."""

import torch
from published_keyword_nets import QualcommBCResNet, settled

from auricle.recipes.cli import main


def test_convert_writes_a_bundle_and_says_what_it_is(tmp_path, capsys):
    torch.save(settled(QualcommBCResNet(1, 3)).state_dict(), tmp_path / "net.pth")
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    command = ["convert", str(tmp_path / "net.pth"), "--to", str(tmp_path / "bundle")]
    assert main(command) == 2
    assert "--labels" in capsys.readouterr().err
    assert main([*command, "--labels", str(tmp_path / "labels.txt")]) == 0
    printed = capsys.readouterr().out
    assert "mel + bcresnet" in printed and "not compared" in printed and "licence" in printed
    card = (tmp_path / "bundle" / "README.md").read_text()
    assert "bsd-3-clause-clear" in card and "Qualcomm-AI-research/bcresnet" in card
    assert main([*command, "--labels", str(tmp_path / "labels.txt")]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


def test_convert_says_what_it_knows(tmp_path, capsys):
    (tmp_path / "x").write_bytes(b"nothing known")
    assert main(["convert", str(tmp_path / "x"), "--to", str(tmp_path / "bundle")]) == 2
    assert "qualcomm_bcresnet" in capsys.readouterr().err
