"""`python -m dynatrail`."""

from dynatrail.cli.app import main

if __name__ == "__main__":
    main()
