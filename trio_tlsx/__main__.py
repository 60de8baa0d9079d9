"""Run the command ``trio-tlsx`` with ``python -m trio_tlsx``."""

from .cli import main

if __name__ == "__main__":
    main()
