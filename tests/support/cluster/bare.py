"""Kubernetes on the bare machine: the control plane of the API-server tier, with containerd, kubelet and kube-proxy.

It needs root and a few Debian packages, and neither systemd nor Docker. Every option is there because the cluster did
not work without it. One at a time on a machine: bridges and routes are the machine's own.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final, TextIO

from tests.support.cluster import node
from tests.support.cluster.port import NoCluster
from tests.support.kube import ApiServer, Settings, built_programs
from tests.support.waiting import within

PROGRAMS: Final = ("containerd", "ctr", "runc", "ip", "iptables", "iptables-save", "iptables-restore", "conntrack",
                   "sysctl", "openssl", "buildah", "debootstrap", "gcc")  # fmt: skip
READY_SECONDS: Final = 60.0
VOLUMES: Final = 150  # five for each platform, and never used twice
_ADDONS: Final = Path(__file__).with_name("addons")
_USERS: Final = (
    "scheduler-token,system:kube-scheduler,scheduler,",
    "proxy-token,system:kube-proxy,proxy,",
    f"kubelet-token,system:node:{node.NAME},kubelet,system:nodes",
)


class BareCluster:
    """The Provider port. What an earlier run that was killed has left is removed first; one that runs and is shared is
    used, and left running."""

    def __init__(self) -> None:
        self._lock: TextIO | None = None
        self.folder = Path(tempfile.gettempdir()) / "pushcluster-cluster"
        self._shared = self.folder / "shared"
        self.programs = Path()
        self.kubeconfig = self.folder / "admin.kubeconfig"
        self._socket = self.folder / "containerd.sock"
        self._containerd: subprocess.Popen[bytes] | None = None
        self._control: ApiServer | None = None

    def start(self) -> None:
        missing = [one for one in PROGRAMS if shutil.which(one) is None]
        if os.geteuid() != 0 or missing or not Path(node.CNI_PROGRAMS).is_dir():
            needs = ", ".join(missing) or ("root" if os.geteuid() else "containernetworking-plugins")
            raise NoCluster(f"no cluster can run here: there is no {needs}")
        built_programs()
        programs = built_programs("--node")
        if programs is None:
            raise NoCluster("no cluster can run here: no Go on this machine and none to be had")
        self.programs = programs
        if not self._only_one():
            return
        self._clean()
        self.folder.mkdir()
        self._machine()
        self._start_containerd()
        self._control = ApiServer(programs, self.folder, _settings())
        self._control.start_api_server()
        self._control.start_controllers()
        self._start_node(self._control)
        self._addons()
        within(READY_SECONDS, lambda: " Ready" in self._kubectl("get", "nodes"))
        self._kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", f"--timeout={READY_SECONDS:.0f}s")

    def share(self) -> None:
        """For whoever starts one now, as long as this one runs."""
        self._shared.touch()

    def load(self, image: str, archive: Path) -> None:
        self._ctr("images", "import", str(archive))

    def stop(self) -> None:
        if self._lock is None:
            return
        if self._control is not None:
            self._control.stop()
        self._clean()
        self._lock.close()

    # ------------------------------------------------------------------------------------------------------------------

    def _only_one(self) -> bool:
        """Waits for another run to end. False when there is one to be shared."""
        lock = self.folder.with_suffix(".lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if self._shared.exists():
                lock.close()
                return False
            fcntl.flock(lock, fcntl.LOCK_EX)
        self._lock = lock
        return True

    def _machine(self) -> None:
        """An address for the node that pods can reach: a bridge with no ports."""
        _do("ip", "link", "add", node.BRIDGE, "type", "bridge")
        _do("ip", "addr", "replace", f"{node.ADDRESS}/32", "dev", node.BRIDGE)
        _do("ip", "link", "set", node.BRIDGE, "up")
        _do("sysctl", "-qw", "net.ipv4.ip_forward=1")

    def _start_containerd(self) -> None:
        (self.folder / "cni").mkdir(exist_ok=True)
        (self.folder / "containerd.toml").write_text(node.containerd_config(self.folder))
        (self.folder / "cni" / "10-bridge.conflist").write_text(node.CNI_CONFIG)
        with (self.folder / "containerd.log").open("ab") as log:
            command = ["containerd", "--config", str(self.folder / "containerd.toml")]
            self._containerd = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        within(20, lambda: self._ctr("version", check=False))

    def _start_node(self, control: ApiServer) -> None:
        pause = _ADDONS / "pause"
        built = self.folder / "pause"
        shutil.copytree(pause, built)
        _do("gcc", "-static", "-Os", "-o", str(built / "pause"), str(built / "pause.c"))
        self._build("pause:1", built)
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        (self.folder / "kubelet.yaml").write_text(node.kubelet_config(self.folder))
        (self.folder / "proxy.yaml").write_text(node.proxy_config(control.kubeconfig_for("proxy-token", "proxy")))
        scheduler = control.kubeconfig_for("scheduler-token", "scheduler")
        kubelet = control.kubeconfig_for("kubelet-token", "kubelet")
        control.run("kube-scheduler", f"--kubeconfig={scheduler}", "--leader-elect=false", "--bind-address=127.0.0.1")
        control.run("kubelet", f"--config={self.folder}/kubelet.yaml", f"--kubeconfig={kubelet}",
                    f"--root-dir={self.folder}/kubelet", f"--hostname-override={node.NAME}",
                    f"--node-ip={node.ADDRESS}")  # fmt: skip
        control.run("kube-proxy", f"--config={self.folder}/proxy.yaml")

    def _addons(self) -> None:
        """DNS; volumes, as there is no StorageClass that makes them."""
        built = self.folder / "coredns"
        shutil.copytree(_ADDONS / "coredns", built)
        shutil.copy(self.programs / "coredns", built)
        self._build("coredns:1", built)
        self._kubectl("apply", "-f", str(_ADDONS / "coredns.yaml"))
        self._kubectl("apply", "-f", "-", text=node.volumes(self.folder, VOLUMES))

    def _build(self, image: str, context: Path) -> None:
        archive = self.folder / "image.tar"
        _do(
            "buildah",
            "bud",
            "-q",
            "--isolation",
            "chroot",
            "--network",
            "host",
            "-t",
            f"localhost/{image}",
            str(context),
        )
        _do("buildah", "push", "-q", f"localhost/{image}", f"docker-archive:{archive}:localhost/{image}")
        self.load(image, archive)
        archive.unlink()

    def _kubectl(self, *arguments: str, text: str | None = None) -> str:
        assert self._control is not None
        return self._control.kubectl(*arguments, text=text)

    def _ctr(self, *arguments: str, check: bool = True) -> bool:
        return _do("ctr", "-a", str(self._socket), "-n", "k8s.io", *arguments, check=check) is not None

    def _clean(self) -> None:
        """Containers, mounts, networks and rules of this or of an earlier, killed run."""
        if self.folder.exists():
            self._end_containers()
            for mount in sorted(_mounts(self.folder), reverse=True):
                _do("umount", "-l", mount, check=False)
        for space in _lines("ip", "netns", "list"):
            if space.startswith("cni-"):
                _do("ip", "netns", "delete", space.split()[0], check=False)
        for link in (node.POD_BRIDGE, node.BRIDGE):
            _do("ip", "link", "delete", link, check=False)
        kept = [line for line in _lines("iptables-save") if "KUBE-" not in line and "CNI-" not in line]
        subprocess.run(["iptables-restore"], input="\n".join([*kept, ""]), text=True, check=True, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree("/var/lib/cni/networks/pods", ignore_errors=True)

    def _end_containers(self) -> None:
        if self._containerd is None and (self.folder / "containerd.toml").exists():
            self._start_containerd()
        if self._containerd is None:
            return
        for name in self._listed("containers"):
            self._ctr("tasks", "delete", "-f", name, check=False)
            self._ctr("containers", "delete", name, check=False)
        self._containerd.kill()
        self._containerd.wait()
        self._containerd = None

    def _listed(self, what: str) -> list[str]:
        return _lines("ctr", "-a", str(self._socket), "-n", "k8s.io", what, "list", "-q")


def _settings() -> Settings:
    return Settings(
        address=node.ADDRESS,
        service_range=node.SERVICE_RANGE,
        authorization="Node,RBAC",
        controllers="*",
        api_options=(
            "--allow-privileged=true",
            # The default tries the host name first, which no DNS here knows: exec, logs and port-forward would fail.
            "--kubelet-preferred-address-types=InternalIP",
        ),
        manager_options=(
            "--use-service-account-credentials=true", "--allocate-node-cidrs=true",
            f"--cluster-cidr={node.POD_RANGE}",
            f"--root-ca-file={Path(tempfile.gettempdir())}/pushcluster-cluster/certs/apiserver.crt",
        ),
        users=_USERS,
    )  # fmt: skip


def _do(*command: str, check: bool = True) -> str | None:
    """What it printed; None when it failed and need not succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"{' '.join(command)}: {done.stderr}"
    return done.stdout if done.returncode == 0 else None


def _lines(*command: str) -> list[str]:
    return (_do(*command, check=False) or "").splitlines()


def _mounts(folder: Path) -> list[str]:
    found = (line.split()[1] for line in Path("/proc/mounts").read_text().splitlines())
    return [mount for mount in found if mount.startswith(f"{folder}/")]
