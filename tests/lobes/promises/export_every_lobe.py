"""Every registered lobe as an ONNX file gives in onnxruntime what it gives in torch.

Run by `make test-export`; the tests of promises compare exported forms in torch alone.
"""

import pytest
import torch
from onnx_form import OnnxForm, deviation
from registered_lobes import KINDS, REGISTRIES, VARIANTS, subject

pytestmark = pytest.mark.usefixtures("one_thread")


def left_out(kind: str) -> list[str]:
    return [name for name in REGISTRIES[kind].names() if REGISTRIES[kind].get(name).not_exported]


@pytest.mark.parametrize("case", [*KINDS, *VARIANTS])
def test_onnxruntime_agrees_at_any_length(case):
    checked = subject(case)
    lobe = checked.build().eval().requires_grad_(False)
    if lobe.not_exported:
        pytest.skip(lobe.not_exported)
    size = checked.size
    longest = None if checked.takes(lobe, size + 1) else size
    form = OnnxForm(lobe.exported().eval(), checked.batch(size, items=2), longest)
    assert not {"DFT", "STFT"} & form.operators
    sizes = (size, size - 1, 3 * size + 7, size // 2, max(size // 20, 2))
    for number in [number for number in sizes if number <= (longest or number)]:
        for items in (1, 3):
            x = checked.batch(number, items=items, seed=items)
            assert deviation(form, lobe, x, lobe.num_frames) < 1e-4, (number, items)
    if checked.kind == "frontend":
        assert deviation(form, lobe, torch.zeros(2, size), lobe.num_frames) < 1e-4, "silence"


def test_at_most_three_encoders_have_no_form():
    assert not left_out("frontend")
    assert len(left_out("encoder")) <= 3
