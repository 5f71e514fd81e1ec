"""Reading and checking of weights in a local safetensors file, without pickles."""

from pathlib import Path

import torch

from ...processing.system.files import read_json
from ...processing.system.listing import first_of

Weights = dict[str, torch.Tensor]


def read_safetensors(path: str) -> tuple[Weights, dict]:
    """Every tensor of a file, or of the one file in a folder, and the folder's `config.json`.

    Arguments
    ---------
    path : str
        A `.safetensors` file, or a folder with one.

    Raises
    ------
    ValueError
        Nothing there, several files, a damaged one, or pickles only.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = Path(path).expanduser()
    if file.is_dir():
        files = sorted(file.glob("*.safetensors"))
        if len(files) != 1:
            raise ValueError(
                f"path must be one *.safetensors file or a folder with one, got {str(path)!r} "
                f"with: {', '.join(file.name for file in files) or 'none'}"
            )
        file = files[0]
    if not file.is_file():
        raise ValueError(f"path {str(path)!r} does not exist; nothing is downloaded")
    if file.suffix != ".safetensors":
        raise ValueError(
            f"path must be a *.safetensors file, got {str(path)!r}; pickles (.bin, .pth, .pt) can "
            'run code and are not read. Where you trust one, convert it once: python -c "import '
            'torch, safetensors.torch as s; s.save_file(torch.load(OLD, weights_only=True), NEW)"'
        )
    try:
        weights = load_file(str(file))
    except SafetensorError as error:
        raise ValueError(f"path {str(path)!r} is no readable safetensors file: {error}") from error
    config = file.parent / "config.json"
    about = read_json(config) if config.is_file() else {}
    return weights, about if isinstance(about, dict) else {}


def check_against(path: str, weights: Weights, expected: Weights, network: dict) -> None:
    """Refuse a file whose tensors are not those of the network that was asked for.

    Arguments
    ---------
    path : str
        For the message.
    weights, expected : dict of tensors
        From the file; of the network.
    network : dict
        What the network is called and how big it is, for the message, e.g. {"size": "tiny"}.

    Raises
    ------
    ValueError
        Names the tensors that lack, are too many, or have another shape; those that are another
        kind of number, NaN or infinite.
    """
    lack = sorted(set(expected) - set(weights))
    extra = sorted(set(weights) - set(expected))
    shapes = [
        f"{name} {tuple(weights[name].shape)} where {tuple(expected[name].shape)} is expected"
        for name in sorted(set(expected) & set(weights))
        if weights[name].shape != expected[name].shape
    ]
    if not (lack or extra or shapes):
        _check_numbers(path, weights, expected)
        return
    wanted = ", ".join(f"{key} {value}" for key, value in network.items())
    problems = [
        f"{what} {first_of(names)}"
        for what, names in (("lacks", lack), ("has, too many,", extra), ("has", shapes))
        if names
    ]
    raise ValueError(
        f"path {str(path)!r} is of another architecture than {wanted}: it {'; '.join(problems)}"
    )


def _check_numbers(path: str, weights: Weights, expected: Weights) -> None:
    def is_wrong(name: str) -> bool:
        value = weights[name]
        if value.is_floating_point() != expected[name].is_floating_point() or value.is_complex():
            return True
        return value.is_floating_point() and not bool(torch.isfinite(value.float()).all())

    if wrong := [name for name in sorted(expected) if is_wrong(name)]:
        raise ValueError(
            f"path {str(path)!r} holds weights that are NaN, infinite or another kind of number: "
            f"{first_of(wrong)}; take a whole copy"
        )
