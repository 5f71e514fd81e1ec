"""Write a model as one file of torch: TorchScript, or a program of torch.export."""

import io
import warnings

import torch

from .agreement import Run
from .form import ExportedModel
from .record import KEY, ExportError
from .recording import first_lines


def traced(model: ExportedModel, num_samples: int) -> torch.jit.ScriptModule:
    """A model as torch.jit.trace records it on two clips.

    What it records may hold for their length alone: whoever keeps it compares it at others.

    Raises
    ------
    ExportError
        What torch.jit.trace refuses.
    """
    wavs = torch.randn(2, num_samples, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.jit.trace(model, (wavs, torch.tensor([1.0, 0.7])), check_trace=False)
    except Exception as error:  # of the model, met with tensors that it does not know
        raise ExportError(f"torch.jit.trace cannot record it: {first_lines(error)}") from None


def torch_bytes(program, entries: dict[str, str]) -> bytes:
    """The bytes of a file of a traced model or of an exported program; entries as extra files."""
    buffer = io.BytesIO()
    if isinstance(program, torch.export.ExportedProgram):
        # Conditions on sizes that torch assumed, some of them wrongly: what the file gives is compared.
        program._guards_code = []
        graphs = (part.graph for part in program.graph_module.modules() if hasattr(part, "graph"))
        for node in (node for graph in graphs for node in graph.nodes):
            node.meta.pop("stack_trace", None)  # names the files of whoever exports
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save = torch.jit.save if isinstance(program, torch.jit.ScriptModule) else torch.export.save
        name = "_extra_files" if save is torch.jit.save else "extra_files"
        save(program, buffer, **{name: {f"{key}.json": text for key, text in entries.items()}})
    return buffer.getvalue()


def loaded(data: bytes, format: str) -> Run:
    """What the bytes of a file give once they are loaded again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if format == "torchscript":
            module = torch.jit.load(io.BytesIO(data), map_location="cpu")
        else:
            module = torch.export.load(io.BytesIO(data)).module()

    @torch.no_grad()
    def run(wavs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return module(wavs, lengths)

    return run


def record_text(path) -> str | None:
    """The record in a file of torch, without loading what else is in it; None: it has none."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = [n for n in archive.namelist() if n.endswith(f"extra/{KEY}.json")]
            return archive.read(name).decode()
    except (OSError, ValueError, zipfile.BadZipFile):
        return None
