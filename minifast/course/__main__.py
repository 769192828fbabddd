"""``python -m minifast.course``."""
import sys
from io import TextIOWrapper

from .cli import main

if __name__ == "__main__":
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a redirected output of Windows lacks characters
    main()
