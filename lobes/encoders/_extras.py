"""Import of the optional packages timm and transformers, with an error that names the extra."""

import importlib


def timm(lobe: str):
    """The package timm, with its residual networks and Vision Transformers.

    Raises
    ------
    ValueError
        It is not installed; names the extra.
    """
    return _package("timm", lobe, "timm.models.resnet", "timm.models.vision_transformer")


def transformers(lobe: str):
    """The package transformers.

    Raises
    ------
    ValueError
        It is not installed; names the extra.
    """
    return _package("transformers", lobe)


def _package(name: str, lobe: str, *modules: str):
    try:
        return [importlib.import_module(module) for module in (*modules, name)][-1]
    except ImportError as error:
        raise ValueError(
            f"encoder {lobe!r} needs the package {name}: pip install 'auricle[{name}]'"
        ) from error
