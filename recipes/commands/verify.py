"""`auricle verify`: whether two recordings are of one speaker."""


def run(
    bundle: str,
    one: str,
    other: str,
    /,
    *,
    threshold_prior: float | None = None,
    json: bool = False,
) -> None:
    """Tell whether two recordings are of one speaker.

    Arguments
    ---------
    bundle : BUNDLE
        Trained for speaker verification; or an .onnx file that one was exported to.
    one : A.wav
        A recording.
    other : B.wav
        The other recording.
    threshold_prior : P
        Share of comparisons that are of one speaker where this is used. Default: the prior that the
        bundle was calibrated for.
    json
        Print JSON.
    """
    from ..inference.verify import verify

    verify(bundle, one, other, threshold_prior, as_json=json)
