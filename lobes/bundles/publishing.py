"""Publish a bundle as a repository of a hub."""

import json
import os
import re

from ...processing.system.files import read_text
from .bundle import load
from .card import CARD, card_text
from .description import BundleError
from .folder import file_in
from .hub import FILES, NAME, hub_api, refused
from .speechbrain import hyperparams_text


def publish(
    folder: str | os.PathLike,
    name: str,
    private: bool = False,
    licence: str | None = None,
    message: str = "Bundle of auricle",
) -> str:
    """Upload a bundle, its files and nothing else of its folder, in one commit.

    Arguments
    ---------
    folder : of the bundle.
    name : OWNER/NAME of the repository, which is made where it is not there.
    private : whether a repository that is made is private.
    licence : for the model card, as Hugging Face spells it: cc-by-4.0; None: as the card has it.
    message : of the commit.

    Returns
    -------
    str, "hf://OWNER/NAME@COMMIT", with which `load` opens it.

    Raises
    ------
    BundleError
        No bundle, a licence or a name of another form, or a hub that refuses.
    """
    if NAME.fullmatch(f"hf://{name}") is None or "@" in name:
        raise BundleError(f"{name!r} names no repository: give OWNER/NAME")
    if licence is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", licence):
        raise BundleError(f"{licence!r} is no licence as Hugging Face spells them: cc-by-4.0, mit")
    description = load(folder).description
    contents = {file: path for file in FILES if (path := file_in(folder, file))}
    card = read_text(contents[CARD]) if CARD in contents else card_text(description)
    if licence is not None:
        card = re.sub(
            r"^license: .*$", f"license: {json.dumps(licence)}", card, count=1, flags=re.M
        )
        card = re.sub(r"^- Licence: .*$", f"- Licence: `{licence}`", card, count=1, flags=re.M)
    texts = {CARD: card, "hyperparams.yaml": hyperparams_text(description)}
    api = hub_api()
    from huggingface_hub import CommitOperationAdd

    additions = [
        CommitOperationAdd(file, content)
        for file, content in {**contents, **{k: v.encode() for k, v in texts.items()}}.items()
    ]
    try:
        api.create_repo(name, private=private, exist_ok=True)
        commit = api.create_commit(name, additions, commit_message=message)
    except Exception as error:
        raise refused(name, error) from None
    return f"hf://{name}@{commit.oid}"
