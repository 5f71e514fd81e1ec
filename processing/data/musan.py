"""Read stretches of the recordings of MUSAN (noise, speech, music)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from .audio import AUDIO_SUFFIXES, AudioInfo, audio_below, probe_audio, read_audio


class Musan:
    """The recordings of MUSAN by kind: "noise", "speech" and "music".

    Arguments
    ---------
    folder : str or Path
        Holds the folders noise, speech and music, each with audio anywhere below it. Hidden files
        are left out.

    Attributes
    ----------
    files : dict of lists of Path
        The recordings of each kind, sorted by path.

    Raises
    ------
    ValueError
        The folder, one of the three folders, or audio in one of them is missing.

    References
    ----------
    D. Snyder et al., "MUSAN: A Music, Speech, and Noise Corpus", 2015, openslr.org/17.
    """

    KINDS = ("noise", "speech", "music")

    def __init__(self, folder):
        self.folder = Path(folder).expanduser()
        self.files = {kind: audio_below(self.folder / kind) for kind in self.KINDS}
        missing = [f"{kind}/" for kind, files in self.files.items() if not files]
        if missing:
            exists = self.folder.is_dir()
            problem = f"no audio below {', '.join(missing)}" if exists else "no such folder"
            raise ValueError(
                f"{self.folder}: {problem}. It must be the unpacked MUSAN corpus (openslr.org/17) "
                f"with noise/, speech/ and music/, each with {', '.join(AUDIO_SUFFIXES)} files"
            )
        self._infos: dict[Path, AudioInfo] = {}

    def read(
        self, path: Path, num_samples: int, rate_hz: int, choose_start: Callable[[int], int]
    ) -> torch.Tensor:
        """Read no more of a recording than `num_samples` at `rate_hz` need.

        Arguments
        ---------
        path : Path
        num_samples, rate_hz : int
            Length wanted and its sample rate; channels are mixed, another rate is converted.
        choose_start : callable
            Given the number of places where the stretch can begin, returns one of them, from 0.

        Shape: () -> (num_samples,), or fewer where the recording is shorter

        Raises
        ------
        AudioError
            The recording cannot be read.
        """
        if path not in self._infos:
            self._infos[path] = probe_audio(path)
        info = self._infos[path]
        samples_at_file_rate = -(-num_samples * info.sample_rate_hz // rate_hz)
        start = choose_start(max(info.num_samples - samples_at_file_rate, 0) + 1)
        return read_audio(
            path,
            rate_hz,
            start_sample=start,
            num_samples=min(samples_at_file_rate, info.num_samples),
            resample="convert",
            channels="mix",
        )[:num_samples]

    def draw(
        self, kind: str, num_samples: int, rate_hz: int, generator: np.random.Generator
    ) -> np.ndarray:
        """A random stretch of a random recording, repeated where it is too short. -> float64"""
        path = self.files[kind][generator.integers(len(self.files[kind]))]
        sound = self.read(path, num_samples, rate_hz, lambda n: int(generator.integers(n)))
        return np.resize(sound.numpy().astype(np.float64), num_samples)
