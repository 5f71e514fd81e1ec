"""Plugin files: run a file of somebody's own, so that its lobes and tasks are registered."""

import hashlib
import importlib.util
import sys
from pathlib import Path

from .registry import ENCODERS, FRONTENDS, LobeError, PluginError
from .tasks import TASKS


def load_plugin(path: str | Path) -> list[str]:
    """Run a Python file, so that the lobes and tasks it registers are known.

    This runs code: load only files you trust. Loading the same file twice does nothing.

    Arguments
    ---------
    path : path of a .py file

    Returns
    -------
    The names it registered, as "frontend NAME", "encoder NAME" or "task NAME".

    Raises
    ------
    PluginError
        Missing file, an error inside it, or nothing registered by it.
    """
    path = Path(path).expanduser().resolve()
    if path.suffix != ".py" or not path.is_file():
        raise PluginError(f"a plugin must be a Python file that exists, got {path}")
    # The name depends on the path, so that two plugins called my_lobe.py do not collide, and it
    # is in sys.modules, so that their classes can be pickled and copied.
    module_name = f"auricle_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    before = [(registry, registry.lobes) for registry in (FRONTENDS, ENCODERS)]
    tasks = dict(TASKS)
    try:
        if module_name not in sys.modules:
            spec = importlib.util.spec_from_file_location(module_name, path)
            module = importlib.util.module_from_spec(spec)
            sys.modules[module_name] = module
            spec.loader.exec_module(module)
        registered = [
            f"{registry.kind} {name}"
            for registry in (FRONTENDS, ENCODERS)
            for name, lobe in registry.lobes.items()
            if lobe.module == module_name
        ]
        held = {id(value) for value in vars(sys.modules[module_name]).values()}
        registered += [f"task {task.name}" for task in TASKS.values() if id(task) in held]
        if not registered:
            raise PluginError(
                f"plugin {path} registered no lobe and no task: decorate a class with "
                "@register_frontend(name) or @register_encoder(name) from auricle.lobes, or bind "
                "what register_task(Task(...)) returns to a name"
            )
    except BaseException as error:
        # Undo what it registered before it failed.
        sys.modules.pop(module_name, None)
        for registry, lobes in before:
            registry.restore(lobes)
        TASKS.clear()
        TASKS.update(tasks)
        if isinstance(error, LobeError) or not isinstance(error, Exception):
            raise
        raise PluginError(
            f"plugin {path} failed while it was loaded: {type(error).__name__}: {error}"
        ) from error
    return registered
