"""A real API server for tests: etcd, kube-apiserver and kube-controller-manager, without nodes.

Pods are made and never run; `tests/support/cluster` adds a node that runs them.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.servers import free_port
from tests.support.waiting import within

BUILD = Path(__file__).parents[1] / "kube" / "build.sh"
CRDS = Path(__file__).parents[1] / "kube" / "crds.sh"
FOREIGN = {
    "gateway-api": ("gateway.networking.k8s.io/v1/httproutes",),
    "monitoring": ("monitoring.coreos.com/v1/podmonitors", "monitoring.coreos.com/v1/prometheusrules"),
}
CRD_FILE = Path(__file__).parents[2] / "crds" / "pushcluster.yaml"
NO_GO = 3  # its exit code
PUSH_CLUSTERS = "/apis/pushcluster.io/v1alpha1/pushclusters"
START_SECONDS = 60.0
TOKEN = "admin-token-of-the-tests"
CONTROLLERS = (
    "garbage-collector-controller", "namespace-controller", "serviceaccount-controller", "deployment-controller",
    "replicaset-controller", "statefulset-controller", "persistentvolumeclaim-protection-controller",
)  # fmt: skip
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],  # a watch is logged when it starts: it ends much later
    "rules": [
        {"level": "Metadata", "userGroups": ["system:serviceaccounts:push-system"]},
        {"level": "None"},
    ],
}
Object = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What a node asks for beyond the control plane alone. `users`: lines of a token file, `TOKEN,NAME,ID,GROUPS`."""

    address: str = "127.0.0.1"
    service_range: str = "10.97.0.0/20"
    authorization: str = "RBAC"
    controllers: str = ",".join(CONTROLLERS)
    api_options: tuple[str, ...] = ("--endpoint-reconciler-type=none",)
    manager_options: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


class ApiServer:
    """The running control plane. `kubeconfig` is an administrator's."""

    def __init__(self, programs: Path, folder: Path, settings: Settings | None = None) -> None:
        self.programs, self.folder, self._settings = programs, folder, settings or Settings()
        self.port, self._etcd_port, self._peer_port, self._manager_port = (free_port() for _ in range(4))
        self.audit = folder / "audit.log"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._context = ssl.create_default_context()
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self.kubeconfig = self.kubeconfig_for(TOKEN, "admin")

    def start(self) -> None:
        self.start_api_server()
        self.kubectl("apply", "-f", str(CRD_FILE))
        within(20, partial(self.serves, PUSH_CLUSTERS))
        # After the CRD: the garbage collector looks for new kinds only every 30 s.
        self.start_controllers()

    def start_api_server(self) -> None:
        self._write_keys()
        etcd = f"http://127.0.0.1:{self._etcd_port}"
        peer = f"http://127.0.0.1:{self._peer_port}"
        self.run("etcd", "--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync",
                 "--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", peer,
                 "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}")  # fmt: skip
        self._start_api_server()

    def start_controllers(self) -> None:
        self.run("kube-controller-manager", f"--kubeconfig={self.kubeconfig}", "--bind-address=127.0.0.1",
                 f"--secure-port={self._manager_port}", "--leader-elect=false",
                 f"--service-account-private-key-file={self.folder}/sa.key",
                 f"--controllers={self._settings.controllers}", *self._settings.manager_options)  # fmt: skip
        within(START_SECONDS, lambda: self.get("/api/v1/namespaces/default/serviceaccounts/default"))

    def stop(self) -> None:
        for process in reversed(self._processes.values()):
            process.kill()
            process.wait()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Nobody answers until the end of the block; then it is the same API server again."""
        apiserver = self._processes["kube-apiserver"]
        apiserver.kill()
        apiserver.wait()
        try:
            yield
        finally:
            self._start_api_server()

    def kubeconfig_for(self, token: str, name: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{name}.kubeconfig"
        cluster = {"server": f"https://{self._settings.address}:{self.port}", "insecure-skip-tls-verify": True}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        file.write_text(json.dumps(content))
        return file

    # Requests ---------------------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> tuple[int, Any]:
        """Status and decoded answer, whatever they are."""
        request = urllib.request.Request(
            f"https://{self._settings.address}:{self.port}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=20, context=self._context) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def get(self, path: str) -> Any:
        """None when it is not there."""
        status, body = self.ask("GET", path)
        return body if status == 200 else None

    def serves(self, path: str) -> bool:
        try:
            return self.get(path) is not None
        except json.JSONDecodeError:
            return False  # what it does not know at all is answered in plain words

    def must(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        status, answer = self.ask(method, path, body, content_type)
        assert status < 300, answer
        return answer

    def merge(self, path: str, body: Any) -> Any:
        return self.must("PATCH", path, body, "application/merge-patch+json")

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        command = [str(self.programs / "kubectl"), *arguments]
        environ = os.environ | {"KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(command, input=text, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def install(self, foreign: str) -> None:
        """CRDs that are not ours: `gateway-api` or `monitoring`."""
        file = _told_by(CRDS, foreign)
        assert file is not None  # the control plane has been built with the same Go
        self.kubectl("create", "-f", str(file))  # too large for the annotation of `apply`
        for kind in FOREIGN[foreign]:
            within(20, partial(self.serves, f"/apis/{kind}"))

    def remove(self, foreign: str) -> None:
        """With every object of their kinds."""
        for kind in FOREIGN[foreign]:
            self.kubectl("delete", _crd(kind), "--ignore-not-found", "--timeout=20s")

    # ------------------------------------------------------------------------------------------------------------------

    def _start_api_server(self) -> None:
        settings = self._settings
        self.run("kube-apiserver", f"--etcd-servers=http://127.0.0.1:{self._etcd_port}", f"--secure-port={self.port}",
                 f"--bind-address={settings.address}", f"--advertise-address={settings.address}",
                 f"--cert-dir={self.folder}/certs", f"--token-auth-file={self.folder}/tokens.csv",
                 f"--service-account-key-file={self.folder}/sa.pub",
                 f"--service-account-signing-key-file={self.folder}/sa.key",
                 "--service-account-issuer=https://kubernetes.default.svc",
                 f"--service-cluster-ip-range={settings.service_range}",
                 f"--authorization-mode={settings.authorization}",
                 f"--audit-policy-file={self.folder}/audit.json", f"--audit-log-path={self.audit}",
                 "--audit-log-mode=blocking", *settings.api_options)  # fmt: skip
        within(START_SECONDS, self._answers)

    def _answers(self) -> bool:
        try:
            return self.ask("GET", "/readyz?verbose=false")[0] == 200
        except json.JSONDecodeError:
            return True  # "ok" is no JSON
        except OSError:
            assert all(process.poll() is None for process in self._processes.values()), self._logs()
            return False

    def _logs(self) -> str:
        return "\n".join(file.read_text()[-2000:] for file in sorted(self.folder.glob("*.log")))

    def _write_keys(self) -> None:
        users = (f"{TOKEN},admin,admin,system:masters", *self._settings.users)
        (self.folder / "tokens.csv").write_text("".join(f"{user}\n" for user in users))
        (self.folder / "audit.json").write_text(json.dumps(AUDIT_POLICY))
        key, public = str(self.folder / "sa.key"), str(self.folder / "sa.pub")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)

    def run(self, program: str, *arguments: str) -> None:
        """Starts one of the programs; it is ended with the control plane, the last one first."""
        with (self.folder / f"{Path(program).name}.log").open("ab") as log:
            command = [str(self.programs / program), *arguments]  # an absolute path stays what it is
            # Ctrl-C of a terminal is for whoever ends them.
            self._processes[program] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder,
                                                        start_new_session=True)  # fmt: skip


def built_programs(*which: str) -> Path | None:
    """The folder of the programs, built when they are not yet; None where there is no Go. `which`: of build.sh."""
    return _told_by(BUILD, *which)


def _crd(kind: str) -> str:
    group, _, plural = kind.split("/")
    return f"crd/{plural}.{group}"


def _told_by(script: Path, *arguments: str) -> Path | None:
    done = subprocess.run([str(script), *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == NO_GO:
        return None
    done.check_returncode()
    return Path(done.stdout.strip())


@contextmanager
def api_server(programs: Path, folder: Path) -> Iterator[ApiServer]:
    server = ApiServer(programs, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
