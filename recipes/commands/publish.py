"""`auricle publish`: a bundle as a repository of a hub."""


def run(
    bundle: str,
    repository: str,
    /,
    *,
    private: bool = False,
    licence: str | None = None,
    message: str = "Bundle of auricle",
) -> None:
    """Upload a bundle with its model card to a hub (Hugging Face, or the one in HF_ENDPOINT), where
    hf://OWNER/NAME names it for every command.

    Arguments
    ---------
    bundle : BUNDLE
        A run's <output_folder>/bundle, or a name of `auricle list models`.
    repository : OWNER/NAME
        Made where it is not there. Log in first: hf auth login.
    private
        Make a private repository.
    licence : ID
        For the model card, as Hugging Face spells it: cc-by-4.0. Default: what the card says.
    message : TEXT
        Of the commit.
    """
    from ...lobes.bundles.publishing import publish

    print(f"published: {publish(bundle, repository, private, licence, message)}")
