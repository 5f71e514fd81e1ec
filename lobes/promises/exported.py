"""Promise about other runtimes: the exported form of a lobe computes the same in plain operators."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ..layers.masks import valid_lengths
from .subject import PARTS, Subject, promise, require, require_same, shape_of


class _Operators(TorchDispatchMode):
    """Names of the operators that run meanwhile, and whether one gives a complex number."""

    def __init__(self):
        super().__init__()
        self.names: set[str] = set()
        self.complex: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.names.add(function.name())
        if isinstance(result, torch.Tensor) and result.is_complex():
            self.complex.add(function.name())
        return result


@promise("frontend", "encoder", title="its exported form gives the same by plain operators")
def exported(subject: Subject) -> None:
    lobe = subject.build().eval()
    missing = getattr(lobe, "not_exported", "not a lobe of auricle, which another promise says")
    require(
        isinstance(missing, str),
        f"not_exported {missing!r}",
        "name the operator that no runtime has, or leave it empty",
    )
    if missing:
        return
    sizes = (subject.size, subject.size * 2 // 3, subject.size // 3)
    batches = [subject.batch(size) for size in sizes if subject.takes(lobe, size)]
    lengths, operators = torch.tensor(PARTS), _Operators()
    with torch.no_grad():
        wanted = [lobe(x, lengths) for x in batches]
        form = lobe.exported()
        with operators:
            made = [form(x, lengths) for x in batches]
    do = "in exported(), copy what you change, and compute as the lobe does in evaluation"
    for x, want, got in zip(batches, wanted, made, strict=True):
        size = x.shape[1]
        what = f"the exported form on {size} with lengths"
        require(
            got.shape == want.shape,
            f"{what}: {shape_of(got)}, not {shape_of(want)}",
            do,
        )
        for item, count in enumerate(valid_lengths(lengths, size).tolist()):
            steps = lobe.num_frames(count)
            pair = (one[item, :steps] for one in (got, want))
            require_same(*pair, subject.tolerance, f"{what}, item {item}", do)
    foreign = {name for name in operators.names if not name.startswith(("aten::", "prim"))}
    foreign |= operators.complex | {name for name in operators.names if "fft" in name}
    require(
        not foreign,
        f"the exported form runs {', '.join(sorted(foreign))}",
        "in exported(), put convolutions, matrix products and pointwise operators of real numbers "
        "in their place; or name them in the attribute not_exported, and other runtimes do without it",
    )
