"""What tests of preparation share: files of noise, edits of tables, the text of a refusal."""

import numpy as np
import soundfile
from refusals import refused

from auricle.recipes.training.preparation import PreparationError


def write_noise(path, num_samples, rate_hz=16000, channels=1, **options):
    """A file of noise that is the same for the same speaker's folder and name, in any case."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = "/".join(path.parts[-3:]).split(".")[0].lower()
    noise = np.random.default_rng(list(name.encode())).standard_normal((num_samples, channels))
    soundfile.write(path, (0.1 * noise).astype("float32"), rate_hz, **options)


def edit(path, old, new, count=-1):
    """Replace text in a file, which must be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def refusal(prepare, *arguments, **options):
    """The text of the error that a preparation ends with."""
    return str(refused("", prepare, *arguments, error=PreparationError, **options))
