"""Every registered lobe, compiled by every backend, gives what the plain one gives.

`make test-compile` runs this file; the tests of promises have a few lobes and the cheapest backend.
"""

import itertools

import pytest
from registered_lobes import KINDS, subject

from auricle.lobes.promises.compiled import require_same_compiled

pytestmark = pytest.mark.usefixtures("one_thread")
BOTH = (False, True)


@pytest.mark.parametrize("name", KINDS)
def test_as_recorded(name):
    for training, of_input in itertools.product(BOTH, BOTH):
        require_same_compiled(subject(name), "aot_eager", training, of_input)


# Generating code takes far longer: two of the four modes, which have all that differs between them.
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("mode", [(False, False), (True, True)], ids=["evaluation", "training"])
def test_as_generated(name, mode):
    require_same_compiled(subject(name), "inductor", *mode)
