"""pushy's server, which checks what Apple checks, as a process of its own: TLS, HTTP/2 and all (`ApnsPeer.java`)."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.support.jars import compiled, jars, java_17
from tests.support.servers import Server, running
from tests.support.smtp import certified

from push_workloads.push.apns.config import ApnsConfig
from push_workloads.push.apns.connection import Limits

KEY_ID: Final = "ABC123DEFG"
TEAM_ID: Final = "DEF123GHIJ"
TOPIC: Final = "com.example.chat"
PATIENT: Final = Limits(60, 60, 60, 60)  # where time is not the point: the machine is not ours alone
SINCE_MS: Final = 1_700_000_000_000
VERSION: Final = "pushy-0.15.4"
_HERE: Final = Path(__file__).parent


def alive(number: int) -> str:
    return f"a11e{number:060x}"


def dead(number: int) -> str:
    """Unregistered since SINCE_MS."""
    return f"dead{number:060x}"


def rejected(reason: int) -> str:
    """`reason`: its number among pushy's, which are in the order of Apple's documentation but for the alphabet."""
    return f"ee{reason:02x}{0:060x}"


def foreign(number: int) -> str:
    """Of another app."""
    return f"f0e{number:061x}"


class Accepted(NamedTuple):
    token: str
    topic: str
    push_type: str
    priority: str
    expiration: str
    collapse_id: str
    payload: dict[str, Any]


class ApnsPeer(Server):
    start_seconds = 60.0  # 2 s alone on two cores

    def __init__(self, folder: Path, *, quiet: bool = False) -> None:
        """Raises NoJars. `quiet`: tells nothing of what it is sent."""
        folder.mkdir(parents=True, exist_ok=True)
        _, self.certificate = certified(folder)
        self.key = ec.generate_private_key(ec.SECP256R1())
        (folder / "provider.der").write_bytes(
            self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        lib, source = jars(VERSION, _HERE / "pom.xml"), _HERE / "ApnsPeer.java"
        classes = compiled(f"apns-peer-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}", source, lib)
        said = [str(self.certificate), str(self.certificate.with_suffix(".key")), str(folder / "provider.der"), KEY_ID,
                TEAM_ID, TOPIC, str(SINCE_MS), "quiet" if quiet else "tell"]  # fmt: skip
        java = [str(java_17()), "-XX:+UseSerialGC", "-Xmx256m", "-cp", f"{classes}:{lib}/*", "ApnsPeer"]
        self._forgotten = 0
        super().__init__(lambda port: [*java, str(port), *said], {}, (b"", ()), folder / "peer.log")

    def config(self, *, connections: int = 1, key: ec.EllipticCurvePrivateKey | None = None) -> ApnsConfig:
        """`key`: another one than the peer knows."""
        return ApnsConfig(pem(key or self.key), KEY_ID, TEAM_ID, TOPIC, "127.0.0.1", self.port, connections,
                          str(self.certificate))  # fmt: skip

    @property
    def environ(self) -> dict[str, str]:
        """What a push service needs to send to it."""
        return {"APNS_KEY": pem(self.key), "APNS_KEY_ID": KEY_ID, "APNS_TEAM_ID": TEAM_ID, "APNS_TOPIC": TOPIC,
                "APNS_HOST": "127.0.0.1", "APNS_PORT": str(self.port), "APNS_CA": str(self.certificate)}  # fmt: skip

    def accepted(self) -> list[Accepted]:
        """In the order in which they came."""
        return [_accepted(line) for line in self._lines() if line.startswith("accepted\t")]

    def rejected(self) -> list[str]:
        """The reasons as pushy names them."""
        return [line.split("\t")[1] for line in self._lines() if line.startswith("rejected\t")]

    def forget(self) -> None:
        """What it has told so far."""
        self._forgotten = self._log.stat().st_size

    def _lines(self) -> list[str]:
        """Whole ones."""
        with self._log.open("rb") as log:
            log.seek(self._forgotten)
            return log.read().decode().split("\n")[:-1]

    async def _answers(self) -> bool:
        return "ready" in self._lines()

    def _launch(self) -> subprocess.Popen[bytes]:
        self._log.touch()
        self.forget()
        return super()._launch()


def _accepted(line: str) -> Accepted:
    _, path, topic, push_type, priority, expiration, collapse_id, text = line.split("\t", 7)
    token = path.removeprefix("/3/device/")
    return Accepted(token, topic, push_type, priority, expiration, collapse_id, json.loads(text))


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@asynccontextmanager
async def apns_peer(folder: Path, *, quiet: bool = False) -> AsyncIterator[ApnsPeer]:
    peer = ApnsPeer(folder, quiet=quiet)
    async with running(peer):
        yield peer
