"""``python -m mediround`` is the command ``mediround``."""

import sys

from mediround.cli import main

sys.exit(main())
