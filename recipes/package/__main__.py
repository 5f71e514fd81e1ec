"""`python -m auricle`: the command `auricle` without its script."""

import sys

from auricle.recipes.cli import main

sys.exit(main())
