"""Speaker verification on VoxCeleb."""

if not __name__.startswith("auricle."):
    raise ImportError(
        "this folder is the package auricle.recipes.voxceleb; install it with: "
        "pip install -e . and import it by that name"
    )
