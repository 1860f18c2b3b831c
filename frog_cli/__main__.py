"""Run frog as `python -m frog_cli`."""

import sys

from frog_cli.cli import main

sys.exit(main())
