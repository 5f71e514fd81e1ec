"""`auricle demo`: a page that runs a bundle in a browser."""


def run(bundle: str, folder: str, /, *, runtime: str | None = None) -> None:
    """Write a static page that shows what a bundle of labels makes of a microphone or a file: the
    waveform, what its frontend gives, and the probability of every label.

    Arguments
    ---------
    bundle : BUNDLE
        A run's <output_folder>/bundle, or a name of `auricle list models`.
    folder : DIR
        Where the page goes; a new folder.
    runtime : FILE.tgz
        ONNX Runtime Web as `npm pack` gives it. Default: fetched by npm, once.
    """
    from ..inference.demo import write_demo

    page = write_demo(bundle, folder, runtime)
    print(f"Page: {page}\nTo see it: python -m http.server --directory {folder}")
