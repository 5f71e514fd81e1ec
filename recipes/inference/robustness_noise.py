"""Background noise of the robustness suite: babble of other talkers, music, MUSAN."""

from collections.abc import Callable, Mapping

import numpy as np
import torch

from ...processing.data.distortions.acoustics import babble
from ...processing.data.distortions.conditions import Background, Condition
from ...processing.data.generated_music import generated_music
from ...processing.data.musan import Musan
from ...processing.scoring.verification.trials import TrialList

#: People who speak at once in babble.
TALKERS = 5
#: From a recording's name to its waveform (T,).
Read = Callable[[str], torch.Tensor]


class BabbleTalkers:
    """Choose the talkers of the babble around a recording among the other speakers of the list.

    They are neither the speaker of the recording nor any speaker whom a trial compares with it,
    as long as five such are left; else only the recording's own speaker is kept out, and how many
    recordings that concerns is said in the result.

    Arguments
    ---------
    trials : the list.
    speaker_of : as for `summarize_trials`.

    Raises
    ------
    ValueError
        Fewer than six speakers.
    """

    def __init__(self, trials: TrialList, speaker_of: Mapping[str, str] | None = None):
        self.names = trials.names
        self.speakers = trials.speakers(speaker_of)
        self.number = {name: index for index, name in enumerate(trials.names)}
        count = int(self.speakers.max()) + 1
        if count <= TALKERS:
            raise ValueError(
                f"{trials.source} has {count} speakers: babble of {TALKERS} others needs "
                f"{TALKERS + 1}; choose other conditions, or give --musan FOLDER"
            )
        # each recording with its own speaker and those on the other side of its trials, once
        own = np.arange(len(trials.names), dtype=np.int64)
        ends = np.concatenate([trials.enroll, trials.test, own]).astype(np.int64)
        others = self.speakers[np.concatenate([trials.test, trials.enroll, own])]
        met = np.unique(ends * count + others)
        self._first = np.searchsorted(met, np.arange(len(trials.names) + 1) * count)
        self._met = (met % count).astype(np.int32)
        self._count = count
        self.with_trial_speakers = int((count - np.diff(self._first) < TALKERS).sum())
        self._recordings = [np.flatnonzero(self.speakers == speaker) for speaker in range(count)]

    def of(self, recording: str, generator: np.random.Generator) -> list[str]:
        """Recordings of five different speakers."""
        number = self.number[recording]
        stranger = np.ones(self._count, np.bool_)
        stranger[self._met[self._first[number] : self._first[number + 1]]] = False
        if stranger.sum() < TALKERS:
            stranger[:] = True
            stranger[self.speakers[number]] = False
        speakers = generator.choice(np.flatnonzero(stranger), TALKERS, replace=False)
        return [self.names[generator.choice(self._recordings[speaker])] for speaker in speakers]

    def describe(self) -> dict:
        """Counts for the report of a result."""
        return {
            "talkers": TALKERS,
            "recordings": len(self.names),
            "with_trial_speakers": self.with_trial_speakers,
        }


def background_of(
    condition: Condition,
    name: str,
    read: Read,
    rate_hz: int,
    seed: int,
    musan: Musan | None,
    talkers: BabbleTalkers | None,
) -> Background | None:
    """The noise of a condition around the recording `name`, as `distort` takes it."""
    if condition.group != "noise":
        return None
    kind = condition.kind

    def draw(num_samples, generator):
        if musan is not None:
            if kind == "babble":
                voices = [
                    musan.draw("speech", num_samples, rate_hz, generator) for _ in range(TALKERS)
                ]
                return babble(voices, num_samples, rate_hz, generator)
            return musan.draw(kind, num_samples, rate_hz, generator)
        if kind == "babble":
            voices = [read(other).numpy() for other in talkers.of(name, generator)]
            return babble(voices, num_samples, rate_hz, generator)
        return generated_music(num_samples, rate_hz, generator, seed)

    return None if kind == "white" else draw
