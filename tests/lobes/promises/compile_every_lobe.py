"""Every registered lobe, compiled, gives what the plain one gives; run by `make test-compile`.

The tests of promises have a few lobes and the cheapest backend.
"""

import pytest
import torch
from registered_lobes import KINDS, subject

from auricle.lobes.promises.compiled import require_same_compiled

pytestmark = pytest.mark.usefixtures("one_thread")
# Generating code takes longest: one lobe for each kind of operators.
GENERATED = (
    *("leaf", "efficientleaf", "mel", "pcen_mel", "sincnet"),
    *("bcresnet", "blstm", "m5", "transformer", "vggish", "vit"),
)
#: Its last batch norms, over three items, multiply rounding: compiled or not, it is 7e-5 from what
#: it gives in float64.
DOUBLE = {"resnet34": torch.float64}


@pytest.mark.parametrize("name", KINDS)
def test_as_read(name):
    require_same_compiled(subject(name), "eager", training=False, of_input=True)
    require_same_compiled(subject(name), "eager", training=True, of_input=False)


@pytest.mark.parametrize("name", KINDS)
def test_as_recorded(name):
    dtype = DOUBLE.get(name, torch.float32)
    require_same_compiled(subject(name), "aot_eager", training=False, of_input=False, dtype=dtype)
    require_same_compiled(subject(name), "aot_eager", training=True, of_input=True, dtype=dtype)


@pytest.mark.parametrize("name", GENERATED)
def test_as_generated(name):
    require_same_compiled(subject(name), "inductor", training=False, of_input=False)
    require_same_compiled(subject(name), "inductor", training=True, of_input=True)
