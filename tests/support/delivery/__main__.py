"""`python -m tests.support.delivery KIND`: the checker, large."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.support.delivery.run import Plan, check


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["quiet", "cuts", "crashes"])
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--sends", type=float, default=50.0, help="a second, over all devices")
    parser.add_argument("--cut-every", type=float, default=15.0)
    parser.add_argument("--offline", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the logs")
    asked = vars(parser.parse_args())
    keep = asked.pop("keep")
    with tempfile.TemporaryDirectory() as folder:
        verdict = asyncio.run(check(Plan(**asked), keep or Path(folder)))
    for name, value in asdict(verdict).items():
        print(f"{name:12} {value}")
    print("good" if verdict.good else "NOT GOOD")
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
