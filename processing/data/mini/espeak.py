"""Synthesise speech from text with espeak-ng, with the times of words and phones.

The library and its voice data come with the wheel `espeakng-loader`; nothing of the system is
used. It is imported when the first Synthesizer is made, so that auricle works without it.
"""

import ctypes
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np

# From espeak-ng's speak_lib.h (1.52).
_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS = 0x0001
_INITIALIZE_DONT_EXIT = 0x8000
_EVENT_LIST_TERMINATED, _EVENT_WORD, _EVENT_END, _EVENT_PHONEME = 0, 1, 5, 7
_RATE, _PITCH, _RANGE = 1, 3, 4  # parameters
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1

_RATE_WPM_ALLOWED = (80, 450)
_PITCH_ALLOWED = (0, 100)


class EspeakMissingError(ImportError):
    """espeak-ng is needed and cannot be had."""


class SpeechEvent(NamedTuple):
    """One word or phone of synthesised speech: [start_samples, end_samples)."""

    kind: str
    """ "word" or "phone"."""
    text: str
    """The word as written, or the phone in espeak-ng's mnemonics, stress marks included; the
    pauses are "_" and "_:"."""
    start_samples: int
    end_samples: int


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Synthesizer:
    """espeak-ng as a function from text and voice to samples and events.

    The same arguments give the same samples, whatever was spoken before. espeak-ng keeps state
    between utterances in static variables (flutter, noise, wave phase) that neither
    `espeak_Terminate` nor its random seed resets, so every utterance is spoken by a freshly loaded
    copy of the library (about 3 ms). The Klatt voices `Reed` and `caleb` draw from the C library's
    `rand()` and differ all the same: avoid them where bytes must repeat.

    Raises
    ------
    EspeakMissingError
        If the wheel espeakng-loader is not installed or its library cannot be loaded.

    Example
    -------
    >>> synthesizer = Synthesizer()
    >>> samples, sample_rate_hz, events = synthesizer.speak("yes", voice="en-us+f3")
    >>> sample_rate_hz, samples.dtype.name
    (22050, 'float32')
    >>> [event.text for event in events if event.kind == "phone"][:3]
    ['j', "'E", 's']
    """

    _lock = threading.Lock()

    def __init__(self):
        try:
            import espeakng_loader
        except ImportError as error:
            raise EspeakMissingError(
                "the mini corpora are spoken by espeak-ng, and its wheel `espeakng-loader` is not "
                "installed; install it with: pip install auricle[mini]"
            ) from error
        self._data_path = str(espeakng_loader.get_data_path())
        # A copy of the library under an own name: another package of this process may have loaded
        # the original, and unloading that would neither reset our state nor be kind to theirs.
        self._folder = tempfile.TemporaryDirectory(prefix="auricle-espeak-")
        original = Path(espeakng_loader.get_library_path())
        self._library_path = str(shutil.copy(original, self._folder.name))
        self._samples: list[np.ndarray] = []
        self._events: list[tuple[int, int, int, int, str]] = []
        self._callback = _Callback(self._receive)  # kept alive here: C holds only a bare pointer
        try:
            library = ctypes.CDLL(self._library_path)
        except OSError:
            # A temporary folder mounted "noexec" cannot hold a library.
            self._library_path = str(original)
            try:
                library = ctypes.CDLL(self._library_path)
            except OSError as error:
                raise EspeakMissingError(
                    f"espeak-ng's library {original} cannot be loaded ({error}); reinstall its "
                    "wheel with: pip install --force-reinstall espeakng-loader"
                ) from error
        library.espeak_Info.restype = ctypes.c_char_p
        self.version: str = library.espeak_Info(None).decode()
        """espeak-ng's own version, as "1.52.0"."""
        _unload(library)

    def variants(self) -> list[str]:
        """Names of the voice variants in the wheel, for use as "<accent>+<variant>"."""
        return sorted(os.listdir(Path(self._data_path) / "voices" / "!v"))

    def speak(
        self,
        text: str,
        voice: str = "en-us",
        rate: int = 175,
        pitch: int = 50,
        pitch_range: int = 50,
        seed: int = 0,
    ) -> tuple[np.ndarray, int, list[SpeechEvent]]:
        """Speak `text`.

        Arguments
        ---------
        text : str
            What to say.
        voice : str
            Accent and variant: "en-us", "en-gb-scotland+m3", ...; "en" is British.
        rate : int
            Words per minute, 80 to 450.
        pitch, pitch_range : int
            0 to 100; 50 is the voice's own.
        seed : int
            Seed of the voice's breath. It is heard in breathy variants only (f2, f3, f5, Alicia,
            sandro, victor); other voices vary with rate and pitch alone. The low 31 bits count.

        Returns
        -------
        samples : numpy.ndarray
            float32 in [-1, 1). Shape (T,).
        sample_rate_hz : int
            espeak-ng's own: 22,050.
        events : list[SpeechEvent]
            Words and phones in the order of their start. Phones abut: each ends where the next
            one starts. A word reaches from its first phone to its last, without pauses.

        Raises
        ------
        ValueError
            On an unknown voice, an empty text or a parameter outside its range.
        """
        if not text.strip():
            raise ValueError("there is nothing to speak: the text is empty")
        accent, _, variant = voice.partition("+")
        if variant and variant not in self.variants():
            # espeak-ng itself would quietly speak with the bare accent.
            raise ValueError(
                f"espeak-ng has no voice variant {variant!r} (asked for as {voice!r}); allowed "
                f"after {accent + '+'!r} are {', '.join(self.variants())}"
            )
        for name, value, (low, high) in (
            ("rate (words per minute)", rate, _RATE_WPM_ALLOWED),
            ("pitch", pitch, _PITCH_ALLOWED),
            ("pitch_range", pitch_range, _PITCH_ALLOWED),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; espeak-ng takes {low} to {high}")
        with self._lock:
            self._samples, self._events = [], []
            library = ctypes.CDLL(self._library_path)
            try:
                parameters = {_RATE: rate, _PITCH: pitch, _RANGE: pitch_range}
                sample_rate_hz = self._speak_with(library, text, voice, parameters, seed)
            finally:
                library.espeak_Terminate()
                _unload(library)
            samples, raw_events = self._samples, self._events
        if not samples:
            raise ValueError(f"espeak-ng made no sound of {text!r} with voice {voice!r}")
        audio = np.concatenate(samples).astype(np.float32) / 32768.0
        return audio, sample_rate_hz, _pair_events(raw_events, text, len(audio))

    def _speak_with(self, library, text, voice, parameters, seed) -> int:
        options = _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_DONT_EXIT
        sample_rate_hz = library.espeak_Initialize(
            _OUTPUT_SYNCHRONOUS, 0, self._data_path.encode(), options
        )
        if sample_rate_hz <= 0:
            raise EspeakMissingError(
                f"espeak-ng found no voice data in {self._data_path}; reinstall its wheel with: "
                "pip install --force-reinstall espeakng-loader"
            )
        library.espeak_SetSynthCallback(self._callback)
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(
                f"espeak-ng has no voice {voice!r}; allowed are an accent ('en' for British, "
                "'en-us', 'en-gb-scotland', 'en-029', ...) or '<accent>+<variant>' as 'en-us+f3'"
            )
        for parameter, value in parameters.items():
            library.espeak_SetParameter(parameter, int(value), 0)
        library.espeak_ng_SetRandSeed(ctypes.c_long(int(seed) & 0x7FFFFFFF))
        encoded = text.encode("utf-8")
        size = ctypes.c_size_t(len(encoded) + 1)
        status = library.espeak_Synth(
            encoded, size, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        if status != 0:
            raise RuntimeError(f"espeak-ng could not speak {text!r} (status {status})")
        return sample_rate_hz

    def _receive(self, wave, num_samples, events) -> int:
        """Called by espeak-ng with each piece of sound and the events that belong to it."""
        if num_samples > 0 and wave:
            self._samples.append(np.ctypeslib.as_array(wave, (num_samples,)).copy())
        i = 0
        while events[i].type != _EVENT_LIST_TERMINATED:
            event = events[i]
            if event.type in (_EVENT_WORD, _EVENT_PHONEME, _EVENT_END):
                phone = event.id.string.decode() if event.type == _EVENT_PHONEME else ""
                position = event.text_position - 1  # espeak-ng counts from 1
                self._events.append((event.type, event.sample, position, event.length, phone))
            i += 1
        return 0  # 0: go on


def _pair_events(raw_events, text: str, num_samples: int) -> list[SpeechEvent]:
    """Turn espeak-ng's start marks into intervals."""
    phones = [(sample, phone) for kind, sample, _, _, phone in raw_events if kind == _EVENT_PHONEME]
    ends = [sample for sample, _ in phones[1:]] + [num_samples]
    intervals = [
        SpeechEvent("phone", phone, start, end)
        for (start, phone), end in zip(phones, ends, strict=True)
        if end > start
    ]
    words = [(s, p, length) for kind, s, p, length, _ in raw_events if kind == _EVENT_WORD]
    next_marks = [sample for sample, _, _ in words[1:]] + [num_samples]
    spoken = [phone for phone in intervals if not phone.text.startswith("_")]
    for (mark, position, length), next_mark in zip(words, next_marks, strict=True):
        # The mark comes a little before the word's first phone, while the last one still sounds.
        phones_in_word = [phone for phone in spoken if mark <= phone.start_samples < next_mark]
        if phones_in_word:
            word = text[position : position + length]
            start, end = phones_in_word[0].start_samples, phones_in_word[-1].end_samples
            intervals.append(SpeechEvent("word", word, start, end))
    return sorted(intervals, key=lambda e: (e.start_samples, e.kind != "word"))


def _unload(library) -> None:
    """Drop a loaded library together with its static variables."""
    handle = ctypes.c_void_p(library._handle)
    if os.name == "nt":
        ctypes.windll.kernel32.FreeLibrary(handle)
    else:
        ctypes.CDLL(None).dlclose(handle)
