"""What checking an access token costs: tokens a second on one core, beside PyJWT doing the least of it in the same run.

Ours is what every service does with a token (`common/tokens.py`): its header, its key, its claims, whose user it is.
PyJWT is given the right key and algorithm, and one option more than nothing. Each is measured in turn, several times;
the best of each counts, as the machine is not ours alone.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from push_workloads.common.config import TokenConfig
from push_workloads.common.keys import SigningKey, from_pem, from_seed
from push_workloads.common.tokens import SHARED, Tokens

ISSUER: Final = "pushcluster"
SECRET: Final = b"a secret for measuring, long enough for HS256"
ROUNDS: Final = 5


def checked(count: int, check: Callable[[], object]) -> float:
    """Tokens in a CPU second of this process."""
    before = time.process_time()
    for _ in range(count):
        check()
    return count / (time.process_time() - before)


def pair(key: SigningKey | None) -> tuple[Callable[[], object], Callable[[], object]]:
    """Ours and PyJWT's check of the same token; `key` None: of the shared secret."""
    signing = TokenConfig(SECRET, 3600, ISSUER, signing_keys=(key,) if key is not None else ())
    text = Tokens(signing).issue("0190b5f6-7c1e-7d3a-8000-0123456789ab", int(time.time()), "a token", "a session")
    ours = Tokens(TokenConfig(SECRET, 3600, ISSUER, keys_url="http://auth"))
    ours.sources[0].take({key.key.kid: key.key} if key is not None else {}, 0.0)
    public, algorithm = (key.key.public, key.key.algorithm) if key is not None else (SECRET, SHARED)
    return lambda: ours.verify(text), lambda: jwt.decode(text, public, [algorithm], audience=ISSUER, issuer=ISSUER)


def main(count: int) -> None:
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    kinds = {"HS256": None, "ES256": from_seed(os.urandom(32).hex()), "EdDSA": from_pem(pem.decode())[0]}
    print(f"{'':8}{'ours /s':>12}{'PyJWT /s':>12}{'ratio':>8}{'us each':>10}")
    for name, key in kinds.items():
        ours, plain = pair(key)
        ours()
        plain()
        runs = [(checked(count, ours), checked(count, plain)) for _ in range(ROUNDS)]
        best, theirs = (max(run[at] for run in runs) for at in (0, 1))
        print(f"{name:8}{best:12,.0f}{theirs:12,.0f}{best / theirs:8.2f}{1e6 / best:10.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000, help="tokens in a round (default: 5000)")
    main(parser.parse_args().count)
