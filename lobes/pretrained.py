"""The names under which bundles written so far are opened: see `auricle.lobes.bundles.bundle`."""

from .bundles.bundle import *  # noqa: F403
