"""Let `python -m mejiro` do what `mejiro` does."""

import sys

from mejiro.cli import main

if __name__ == "__main__":
    sys.exit(main())
