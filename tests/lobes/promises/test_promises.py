"""Every registered lobe keeps every promise; and every promise can be broken.

The second half is what makes the first half worth something: tiny lobes that keep all promises,
and mutants of them that break one. A promise that no mutant breaks would prove nothing.
"""

import pytest
import torch
from registered_lobes import KINDS, NARROW, PROMISES, TOO_WIDE, VARIANTS, subject
from torch import nn

from auricle.lobes import ENCODERS, FRONTENDS
from auricle.lobes.contracts import Encoder, Frontend, mask_padding
from auricle.lobes.promises import (
    ENCODER_PROMISES,
    FRONTEND_PROMISES,
    BrokenPromise,
    Subject,
    check,
    check_subject,
)
from auricle.lobes.registry import UnknownLobe

# Operators of torch and of the filterbank. All lobes are in `compile_every_lobe.py`.
COMPILED = ("leaf",)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("case", "promise"),
    [
        pytest.param(case, promise, id=f"{case}-{promise}")
        for case in (*KINDS, *VARIANTS)
        for promise in PROMISES[KINDS[case.partition("-")[0]]]
        if promise != "compiled" or case in COMPILED
    ],
)
def test_registered_lobe_keeps_its_promises(case, promise):
    checked = subject(case)
    PROMISES[checked.kind][promise](checked)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in NARROW if name not in TOO_WIDE])
def test_a_narrowed_lobe_learns_everywhere_as_it_comes(name):
    PROMISES[KINDS[name]]["gradients"](subject(name, {}))


def test_the_registries_hold_what_the_readme_names():
    """An empty registry would parametrise to nothing and look green."""
    assert {"leaf", "mel", "waveform"} <= set(FRONTENDS.names())
    assert {"bcresnet", "cnn14", "kwt", "linear", "small_cnn", "transformer"} <= set(
        ENCODERS.names()
    )


@pytest.mark.slow
def test_check_reports_every_promise_of_a_registered_lobe():
    results = check("frontend", "waveform")
    assert [result.name for result in results] == list(FRONTEND_PROMISES)
    assert all(result.passed and not result.detail and result.title for result in results)


def test_check_of_an_unknown_lobe_suggests_the_nearest():
    with pytest.raises(UnknownLobe, match="'waveform'"):
        check("frontend", "waveforn")
    with pytest.raises(ValueError, match="frontend.*encoder.*'head'"):
        check("head", "linear")


# -- two lobes that keep every promise -----------------------------------------------------------


class TinyFrontend(Frontend):
    """Squared projections of 10 ms frames, in decibels of a learned gain."""

    def __init__(self, sample_rate=16000):
        hop = round(sample_rate / 100)
        super().__init__(sample_rate, hop, hop, num_features=5)
        self.taps = nn.Parameter(torch.randn(hop, 5) / 4)
        self.gain = nn.Parameter(torch.ones(5))

    def project_(self):
        self.gain.clamp_(0.1, 10.0)

    def left(self, num_samples):
        return 0

    def filters(self):
        return self.taps

    def compress(self, energy):
        return torch.log(energy + 0.01) * self.gain

    def forward(self, wavs, lengths=None):
        wavs = mask_padding(wavs, lengths)
        num_frames = -(-wavs.shape[1] // self.hop)
        left = self.left(wavs.shape[1])
        missing = num_frames * self.hop - wavs.shape[1] - left
        frames = nn.functional.pad(wavs, (left, missing)).view(len(wavs), num_frames, self.hop)
        with torch.autocast("cpu", enabled=False):
            return self.compress((frames @ self.filters()).square())


class TinyEncoder(Encoder):
    """Mean over time of a non-linear projection."""

    def __init__(self, in_features, in_frames=None):
        super().__init__(in_features, 7, "utterance")
        self.project = nn.Linear(in_features, 7)
        self.scale = nn.Parameter(torch.ones(7))

    def pool(self, hidden, lengths):
        part = torch.ones(len(hidden)) if lengths is None else lengths
        total = mask_padding(hidden, lengths).sum(1, keepdim=True)
        return total / (part * hidden.shape[1]).round().clamp(min=1)[:, None, None]

    def forward(self, feats, lengths=None):
        return self.pool(torch.tanh(self.project(feats)), lengths) * self.scale


class TinyLogFrontend(TinyFrontend):
    """A gain by its logarithm, which is exactly 0 at the start and at its lower bound."""

    def __init__(self, sample_rate=16000):
        super().__init__(sample_rate)
        self.gain.data.zero_()

    def project_(self):
        self.gain.clamp_(0.0, 3.0)

    def compress(self, energy):
        return torch.log(energy + 0.01) * self.gain.exp()


class TinyFrameEncoder(TinyEncoder):
    """Every second frame."""

    def __init__(self, in_features, in_frames=None):
        super().__init__(in_features)
        self.output, self.stride = "frames", 2

    def pool(self, hidden, lengths):
        return hidden[:, ::2]


# -- mutants of both -----------------------------------------------------------------------------


class IgnoresParameter:
    def __init__(self, *given):
        super().__init__(*given)
        self.unused = nn.Parameter(torch.ones(3))


class DetachesParameter:
    def __init__(self, *given):
        super().__init__(*given)
        self.offset = nn.Parameter(torch.ones(1))

    def forward(self, x, lengths=None):
        return super().forward(x, lengths) + self.offset.detach()


class HidesParameterInList:
    def __init__(self, *given):
        super().__init__(*given)
        self.hidden = [nn.Parameter(torch.ones(1))]

    def forward(self, x, lengths=None):
        return super().forward(x, lengths) * self.hidden[0]


class ProjectsToTheStart:
    """`project_` undoes what is learned."""

    def project_(self):
        for p in self.parameters():
            if p.dim() == 1:
                p.fill_(1.0)


class KeepsStatisticsOutsideState:
    level = 0.0

    def forward(self, x, lengths=None):
        if self.training:
            self.level = self.level + x.detach().std()
        return super().forward(x, lengths) + self.level


class DrawsUnsavedConstants:
    def __init__(self, *given):
        super().__init__(*given)
        self.register_buffer("offset", torch.rand(1), persistent=False)

    def forward(self, x, lengths=None):
        return super().forward(x, lengths) + self.offset


class DropsStateOnSaving:
    def state_dict(self, *given, **named):
        state = super().state_dict(*given, **named)
        return {key: value for key, value in state.items() if key not in ("gain", "scale")}


class DetachesInput:
    def forward(self, x, lengths=None):
        return super().forward(x.detach(), lengths)


class SquareRootAtZeroOfInput:
    def forward(self, x, lengths=None):
        return super().forward(x, lengths) + 0 * (x - x).abs().sqrt().mean()


class WithoutLengthsScales:
    def forward(self, x, lengths=None):
        return super().forward(x, lengths) * (1.1 if lengths is None else 1.0)


class IgnoresLengths:
    def forward(self, x, lengths=None):
        return super().forward(x)


class NormalisesOverBatch:
    def forward(self, x, lengths=None):
        return super().forward(x / x.abs().amax(), lengths)


class Float64:
    def forward(self, x, lengths=None):
        return super().forward(x, lengths).double()


class DeclaresMoreThanItGives:
    def __init__(self, *given):
        super().__init__(*given)
        if isinstance(self, Frontend):
            self.num_features += 1
        else:
            self.out_features += 1


class LogarithmOfZero:
    def forward(self, x, lengths=None):
        return super().forward(x, lengths) + 0 * x.abs().amax().log()


class InfiniteGradientAtZero:
    def forward(self, x, lengths=None):
        output = super().forward(x, lengths)
        p = next(iter(self.parameters()))
        return output + 0 * (x.abs().amax() * p.square().mean()).sqrt()


class PhaseInBfloat16:
    def forward(self, x, lengths=None):
        output = super().forward(x, lengths)
        phase = 300 * torch.arange(output.shape[-1]) * next(iter(self.parameters())).abs().mean()
        if torch.is_autocast_enabled("cpu"):
            phase = phase.bfloat16()
        return output + 3 * torch.sin(phase.float())


class CastsItself:
    def forward(self, x, lengths=None):
        if torch.is_autocast_enabled("cpu") and self.training:
            self.register_parameter("cast", nn.Parameter(torch.ones(1, dtype=torch.bfloat16)))
        return super().forward(x, lengths)


CURVE = torch.ones(3)


class SharesBuffer:
    def __init__(self, *given):
        super().__init__(*given)
        self.register_buffer("curve", CURVE)


SHARED_LAYER = nn.Identity()


class SharesModuleInList:
    def __init__(self, *given):
        super().__init__(*given)
        self.layers = [SHARED_LAYER]


class LearnsOnTheClass:
    """A state that belongs to the class and is no attribute of an instance."""

    steps = {"count": 0}

    def forward(self, x, lengths=None):
        self.steps["count"] += self.training
        return super().forward(x, lengths) + self.steps["count"]


class HoldsFunction:
    def __init__(self, *given):
        super().__init__(*given)
        self.after = lambda output: output


class KeepsActivation:
    def forward(self, x, lengths=None):
        self.last = super().forward(x, lengths)
        return self.last


class CopiesShareTensors:
    def __deepcopy__(self, memo):
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin


class CountsInEval:
    def __init__(self, *given):
        super().__init__(*given)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x, lengths=None):
        self.calls += 1
        return super().forward(x, lengths)


class ChangesItsInput:
    def forward(self, x, lengths=None):
        x.data.clamp_(-0.2, 0.2)
        return super().forward(x, lengths)


class DrawsInEval:
    def forward(self, x, lengths=None):
        return super().forward(x, lengths) + 1e-6 * torch.rand(1) * (not self.training)


class CachesUnderInference:
    cache = None

    def forward(self, x, lengths=None):
        if self.cache is None:
            self.cache = torch.ones(1) * 1.0
        p = next(iter(self.parameters()))
        return super().forward(x, lengths) + (self.cache * p.mean())


class OtherWithoutGradients:
    def forward(self, x, lengths=None):
        return super().forward(x, lengths) * (1.0 if torch.is_grad_enabled() else 1.1)


class LastsAsAnother:
    """Lasting options that give another shape."""

    size = 4

    def __init__(self, *given, size=3):
        super().__init__(*given)
        self.register_buffer("table", torch.zeros(size))

    def lasting_options(self, options):
        return {**options, "size": self.size}


class LastsWithoutItsConstant:
    """A number from a file that neither the state nor the lasting options hold."""

    def __init__(self, *given, path=None, factor=1.0):
        super().__init__(*given)
        self.factor = factor if path is None else 2.0

    def forward(self, x, lengths=None):
        return super().forward(x, lengths) * self.factor


class LastsByItsFile:
    def __init__(self, *given, path=None):
        super().__init__(*given)

    def lasting_options(self, options):
        return {"path": __file__}


class LastsByChangingTheOptions(LastsByItsFile):
    def lasting_options(self, options):
        options["path"] = None
        return options


class LastsAsTensor(LastsByItsFile):
    def lasting_options(self, options):
        return {"path": torch.ones(1)}


class DecidesByValues:
    """Python's way depends on a tensor."""

    def forward(self, x, lengths=None):
        return super().forward(x, lengths) * (1.0 if x.abs().amax() > 0 else 2.0)


class OtherWhenCompiled:
    def forward(self, x, lengths=None):
        factor = 1.001 if torch.compiler.is_compiling() else 1.0
        return super().forward(x, lengths) * factor


class Exports(nn.Module):
    """A lobe's input and output through a function."""

    def __init__(self, lobe, change):
        super().__init__()
        self.lobe, self.change = lobe, change

    def forward(self, x, lengths=None):
        return self.change(x, self.lobe(x, lengths))


class ExportsAnother:
    def exported(self):
        return Exports(self, lambda x, output: 1.1 * output)


class ExportsFourier:
    def exported(self):
        return Exports(self, lambda x, output: output + 0 * torch.fft.rfft(x).real.sum())


class ExportsByChangingItself:
    def exported(self):
        with torch.no_grad():
            for p in self.parameters():
                p.mul_(1.1)
        return self


class StaysWithoutAReason:
    not_exported = True


class OtherGradientWhenCompiled:
    def forward(self, x, lengths=None):
        output = super().forward(x, lengths)
        if torch.compiler.is_compiling():
            output = output.detach() + 0.999 * (output - output.detach())
        return output


class OtherStatisticsWhenCompiled:
    def __init__(self, *given):
        super().__init__(*given)
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x, lengths=None):
        if self.training and not torch.compiler.is_compiling():
            self.steps.add_(1)
        return super().forward(x, lengths)


class BreaksWithoutAReason(DecidesByValues):
    graph_break = True


# -- mutants of the frontend ---------------------------------------------------------------------


class NotAFrontend(nn.Module):
    """Has everything of a frontend but the base class."""

    normalization, fixed = "none", False
    num_frames, frame_lengths = Frontend.num_frames, Frontend.frame_lengths
    frames_of_items = Frontend.frames_of_items
    lasting_options = Frontend.lasting_options

    def __init__(self, sample_rate=16000):
        super().__init__()
        self.inner = TinyFrontend(sample_rate)
        for name in ("sample_rate", "hop", "window", "num_features"):
            setattr(self, name, getattr(self.inner, name))

    def forward(self, wavs, lengths=None):
        return self.inner(wavs, lengths)


class MiscountsFrames(TinyFrontend):
    def num_frames(self, num_samples):
        return super().num_frames(num_samples) + (num_samples == 8000)


class UnknownNormalization(TinyFrontend):
    normalization = "batch"


class FixedButLearning(TinyFrontend):
    fixed = True


class NothingToLearn(TinyFrontend):
    def __init__(self, *given):
        super().__init__(*given)
        self.requires_grad_(False)


class ClampsInForward(TinyFrontend):
    """What `project_` is there to prevent."""

    def project_(self):
        pass

    def compress(self, energy):
        return torch.log(energy + 0.01) * self.gain.clamp(0.1, 10.0)


class LeavesItsRange(TinyFrontend):
    def project_(self):
        pass

    def compress(self, energy):
        return torch.log(energy + 0.01) * self.gain.sqrt()


class ProjectionThatDecays(TinyFrontend):
    def project_(self):
        self.gain.mul_(0.9).clamp_(0.1, 10.0)


class ProjectsOnASaddle(TinyFrontend):
    """The output is even in the parameter, which is projected to where its slope is zero."""

    def project_(self):
        self.gain.clamp_(0.0, 10.0)

    def compress(self, energy):
        return torch.log(energy + 0.01 + self.gain.square())


class ProjectsBesideASaddle(ProjectsOnASaddle):
    """As above, where rounding leaves something that looks like a gradient."""

    def project_(self):
        self.gain.clamp_(1e-10, 10.0)


class PadsByLength(TinyFrontend):
    """'Same' padding: the frames' positions depend on the padded length."""

    def left(self, num_samples):
        return (-num_samples % self.hop) // 2


class SpeechBrainLengths(TinyFrontend):
    """Relative lengths in samples handed on as relative lengths in frames."""

    def frame_lengths(self, lengths, num_samples):
        return lengths * 0.97


class CrashesOnOneSample(TinyFrontend):
    def forward(self, wavs, lengths=None):
        if wavs.shape[1] < 2:
            raise RuntimeError("Calculated padded input size per channel: (1)")
        return super().forward(wavs, lengths)


class HopInSamples(TinyFrontend):
    def __init__(self, sample_rate=16000):
        super().__init__(16000)
        self.sample_rate = sample_rate


class OneRate(TinyFrontend):
    def __init__(self, sample_rate=16000):
        super().__init__(sample_rate)
        self.sample_rate = 16000


# -- mutants of the encoder ----------------------------------------------------------------------


class WrongStride(TinyFrameEncoder):
    def __init__(self, *given):
        super().__init__(*given)
        self.stride = 3


class WrongOutput(TinyEncoder):
    def __init__(self, *given):
        super().__init__(*given)
        self.output = "frames"


class FortyFeaturesOnly(TinyEncoder):
    """Crashes on any other count and does not say so."""

    def __init__(self, in_features, in_frames=None):
        super().__init__(in_features)
        self.project = nn.Linear(40, 7)


class MasksWithInfinity(TinyEncoder):
    def forward(self, feats, lengths=None):
        return super().forward(feats, lengths) + (feats.abs().amax() > 0).float().log()


class CrashesOnOneFrame(TinyEncoder):
    def forward(self, feats, lengths=None):
        if feats.shape[1] < 2:
            raise RuntimeError("Output size is too small")
        return super().forward(feats, lengths)


class NothingToLearnEncoder(TinyEncoder):
    """Keeps every promise: pooling alone is an encoder, the head behind it learns."""

    def __init__(self, *given):
        super().__init__(*given)
        self.requires_grad_(False)


class PadsBetweenLayers(TinyFrameEncoder):
    """A second layer looks into padding that the first one filled with its bias."""

    def pool(self, hidden, lengths):
        after = nn.functional.pad(hidden[:, 1:], (0, 0, 0, 1))
        return (hidden + after)[:, ::2]

    def forward(self, feats, lengths=None):
        return super().forward(mask_padding(feats, lengths), lengths)


def mutant(mixin, base, promise, *also, says=""):
    """One case: the class, the promise it is made to break, and those it cannot but break too."""
    cls = mixin
    if not issubclass(mixin, nn.Module):
        name = f"{mixin.__name__}{base.__name__}"
        cls = globals().setdefault(name, type(name, (mixin, base), {"__module__": __name__}))
    kind = "encoder" if issubclass(base, Encoder) else "frontend"
    return pytest.param(kind, cls, promise, {promise, *also}, says, id=f"{promise}-{cls.__name__}")


def mutants_of_both(base):
    frontend = base is TinyFrontend
    dead = ("projection",) if frontend else ()
    return [
        mutant(Float64, base, "shapes", says="float64"),
        mutant(
            DeclaresMoreThanItGives,
            base,
            "shapes",
            "finite",
            "rates" if frontend else "feature-counts",
            says="shape",
        ),
        mutant(WithoutLengthsScales, base, "no-lengths", "padding", says="lengths=None"),
        mutant(IgnoresParameter, base, "gradients", "optimised", *dead, says="unused"),
        mutant(DetachesParameter, base, "gradients", "optimised", *dead, says="offset"),
        mutant(HidesParameterInList, base, "optimised", says="outside parameters"),
        mutant(ProjectsToTheStart, base, "optimised", says="did not move"),
        mutant(KeepsStatisticsOutsideState, base, "reload", says="another output"),
        mutant(DrawsUnsavedConstants, base, "reload", "rebuilt", says="another output"),
        mutant(DropsStateOnSaving, base, "reload", "rebuilt", says="lacks (gain|scale)"),
        mutant(DetachesInput, base, "input-gradient", says="no gradient"),
        mutant(SquareRootAtZeroOfInput, base, "input-gradient", says="NaN"),
        mutant(IgnoresLengths, base, "padding", says="noise against zeros"),
        mutant(
            NormalisesOverBatch,
            base,
            "batch-equals-loop",
            "padding",
            "finite",
            says="one by",
        ),
        mutant(LogarithmOfZero, base, "finite", says="output on"),
        mutant(InfiniteGradientAtZero, base, "finite", says="gradient of"),
        mutant(PhaseInBfloat16, base, "bf16", says="differs from float32"),
        mutant(CastsItself, base, "bf16", says="became torch.bfloat16"),
        mutant(SharesBuffer, base, "nothing-shared", says="curve"),
        mutant(SharesModuleInList, base, "nothing-shared", says="layers"),
        mutant(LearnsOnTheClass, base, "nothing-shared", says="changed the other"),
        mutant(HoldsFunction, base, "copies", says="lambda"),
        mutant(KeepsActivation, base, "copies", says="deepcopy"),
        mutant(CopiesShareTensors, base, "copies", says="changed the original"),
        mutant(LastsAsAnother, base, "rebuilt", says=r"table \(4,\) where \(3,\) was"),
        mutant(LastsByItsFile, base, "rebuilt", says="this machine: .*test_promises.py"),
        mutant(LastsByChangingTheOptions, base, "rebuilt", says="changed what it was given"),
        mutant(LastsAsTensor, base, "rebuilt", says="not JSON serializable"),
        mutant(CountsInEval, base, "eval-mode", says="calls"),
        mutant(ChangesItsInput, base, "eval-mode", says="its input"),
        mutant(
            DrawsInEval,
            base,
            "eval-mode",
            "reload",
            "rebuilt",
            "nothing-shared",
            "copies",
            says="differ",
        ),
        mutant(CachesUnderInference, base, "no-grad", says="Inference"),
        mutant(OtherWithoutGradients, base, "no-grad", says="no_grad against"),
        mutant(DecidesByValues, base, "compiled", says="fullgraph=True"),
        mutant(OtherWhenCompiled, base, "compiled", says="output of .* differs by"),
        mutant(
            OtherGradientWhenCompiled,
            base,
            "compiled",
            says="gradient of .* differs by",
        ),
        mutant(OtherStatisticsWhenCompiled, base, "compiled", says="buffer steps"),
        mutant(BreaksWithoutAReason, base, "compiled", says="graph_break True"),
        mutant(ExportsAnother, base, "exported", says="item 0: differs by"),
        mutant(ExportsFourier, base, "exported", says="aten::_fft_r2c"),
        mutant(ExportsByChangingItself, base, "exported", says="item 0: differs by"),
        mutant(StaysWithoutAReason, base, "exported", says="not_exported True"),
    ]


MUTANTS = [
    *mutants_of_both(TinyFrontend),
    *mutants_of_both(TinyEncoder),
    mutant(NotAFrontend, TinyFrontend, "shapes", says="Frontend"),
    mutant(MiscountsFrames, TinyFrontend, "shapes", says="8000 samples"),
    mutant(UnknownNormalization, TinyFrontend, "shapes", says="'batch'"),
    mutant(FixedButLearning, TinyFrontend, "gradients", says="fixed = True"),
    mutant(NothingToLearn, TinyFrontend, "gradients", says="no trainable"),
    mutant(ClampsInForward, TinyFrontend, "projection", says="gain .* zero for ever"),
    mutant(LeavesItsRange, TinyFrontend, "projection", says="NaN"),
    mutant(ProjectionThatDecays, TinyFrontend, "projection", says="second project_"),
    mutant(
        ProjectsOnASaddle,
        TinyFrontend,
        "projection",
        says="-1000 times .* zero for ever",
    ),
    mutant(
        ProjectsBesideASaddle,
        TinyFrontend,
        "projection",
        says="-1000 times .* zero for ever",
    ),
    mutant(PadsByLength, TinyFrontend, "padding", says="alone"),
    mutant(SpeechBrainLengths, TinyFrontend, "padding", says="frame_lengths"),
    mutant(CrashesOnOneSample, TinyFrontend, "finite", says="RuntimeError"),
    mutant(HopInSamples, TinyFrontend, "rates", says="hop of"),
    mutant(OneRate, TinyFrontend, "rates", says="8000 Hz"),
    mutant(WrongStride, TinyEncoder, "shapes", "padding", says="stride=3"),
    mutant(WrongOutput, TinyEncoder, "shapes", says="output='frames'"),
    mutant(FortyFeaturesOnly, TinyEncoder, "feature-counts", says="RuntimeError"),
    mutant(MasksWithInfinity, TinyEncoder, "finite", says="zeros"),
    mutant(PadsBetweenLayers, TinyEncoder, "padding", says="alone"),
    mutant(CrashesOnOneFrame, TinyEncoder, "finite", says="too small"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "cls"),
    [
        ("frontend", TinyFrontend),
        ("frontend", TinyLogFrontend),
        ("encoder", TinyEncoder),
        ("encoder", TinyFrameEncoder),
        ("encoder", NothingToLearnEncoder),
    ],
)
def test_tiny_lobe_keeps_every_promise(kind, cls):
    broken = [result.detail for result in check_subject(Subject(kind, "tiny", cls))]
    assert not any(broken), "\n".join(broken)


@pytest.mark.long
@pytest.mark.parametrize(("kind", "cls", "promise", "breaks", "says"), MUTANTS)
def test_mutant_breaks_its_promise_and_no_other(kind, cls, promise, breaks, says):
    with pytest.raises(BrokenPromise, match=f"(?s)promise.*Got:.*{says}"):
        PROMISES[kind][promise](Subject(kind, "mutant", cls))
    # What it costs to compile each of them is too much.
    results = check_subject(Subject(kind, "mutant", cls), without=("compiled",))
    broken = {result.name for result in results if not result.passed}
    assert broken == breaks - {"compiled"}


def test_every_promise_is_broken_by_some_mutant():
    broken = {(case.values[0], case.values[2]) for case in MUTANTS}
    assert broken == {(kind, name) for kind, promises in PROMISES.items() for name in promises}


@pytest.mark.parametrize("base", [TinyFrontend, TinyEncoder])
def test_a_lobe_from_a_file_lasts_with_what_the_file_decided(base):
    """Without the weights' file its constant is another, unless lasting_options says it."""
    cls = type("FromFile", (LastsWithoutItsConstant, base), {})
    kind = "encoder" if issubclass(base, Encoder) else "frontend"
    given = {"path": "weights"}
    subject = Subject(kind, "file", lambda *a, **o: cls(*a, **(o or given)), options=given)
    cls.lasting_options = lambda self, options: {"path": None, "factor": 2.0}
    PROMISES[kind]["rebuilt"](subject)
    cls.lasting_options = lambda self, options: {"path": None}
    with pytest.raises(BrokenPromise, match="another output"):
        PROMISES[kind]["rebuilt"](subject)


def test_declared_misfit_is_no_broken_promise():
    """An encoder that declares what it cannot take is not asked to take it."""
    subject = Subject(
        "encoder",
        "forty",
        FortyFeaturesOnly,
        lambda features, frames: None if features == 40 else "it takes 40 features only.",
    )
    ENCODER_PROMISES["feature-counts"](subject)


@pytest.mark.slow
def test_checking_leaves_the_global_random_state_alone():
    torch.manual_seed(3)
    want = torch.rand(1)
    torch.manual_seed(3)
    check_subject(Subject("frontend", "tiny", TinyFrontend))
    assert torch.equal(torch.rand(1), want)


@pytest.mark.slow
def test_a_lobe_may_declare_why_it_is_no_single_graph():
    cls = type(
        "Declared",
        (DecidesByValues, TinyEncoder),
        {"graph_break": "its way depends on x"},
    )
    ENCODER_PROMISES["compiled"](Subject("encoder", "declared", cls))
