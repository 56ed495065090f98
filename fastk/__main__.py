"""`python -m fastk` is the same as `fastk`."""

import sys

from fastk.cli.main import main

sys.exit(main())
