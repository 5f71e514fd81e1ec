"""A few hundred damaged inputs of every kind that commands read; `make fuzz` tries thousands."""

import fuzz
import pytest

KINDS = fuzz.kinds()
CASES = 300


@pytest.mark.parametrize("name", KINDS)
def test_mutated_inputs_end_well(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    share = max(1, CASES // len(KINDS))
    ends = [fuzz.run_case(KINDS[name], seed, tmp_path) for seed in range(share)]
    faults = [f"--kind {end.kind} --seed {end.seed}: {end.fault}" for end in ends if end.fault]
    assert not faults, "make fuzz KIND=... SEED=... runs one again:\n" + "\n".join(faults)
