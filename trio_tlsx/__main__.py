"""``python -m trio_tlsx`` is ``trio-tlsx``."""

from .cli import main

if __name__ == "__main__":
    main()
