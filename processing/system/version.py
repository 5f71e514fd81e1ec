"""The version of auricle, which setup.cfg, the command and the results read here."""

__version__ = "0.1.0"
