"""The configuration of the bare cluster's only node, as texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

NAME: Final = "node1"
ADDRESS: Final = "10.250.0.1"
BRIDGE: Final = "pcl0"
POD_BRIDGE: Final = "pcl1"
SERVICE_RANGE, POD_RANGE, POD_SUBNET = "10.96.0.0/16", "10.244.0.0/16", "10.244.0.0/24"
DNS: Final = "10.96.0.10"
CNI_PROGRAMS: Final = "/usr/lib/cni"

CNI_CONFIG: Final = json.dumps(
    {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": POD_BRIDGE,
                "isGateway": True,
                "ipMasq": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": POD_SUBNET}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
)


def containerd_config(folder: Path) -> str:
    return f"""\
version = 2
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true  # without CAP_SYS_RESOURCE a score cannot be lowered
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false  # no systemd
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PROGRAMS}"
    conf_dir = "{folder}/cni"
"""


def kubelet_config(folder: Path) -> str:
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            # It listens on an address of this machine alone, and the cluster lives as long as the tests.
            "address": ADDRESS,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
            "cgroupDriver": "cgroupfs",
            # On a host of cgroup v1: containers' own limits still apply.
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,  # cannot be lowered without CAP_SYS_RESOURCE
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,  # images come from no registry: removed ones would not come back
            "clusterDNS": [DNS],
            "clusterDomain": "cluster.local",
            "resolvConf": f"{folder}/resolv.conf",
            "volumePluginDir": f"{folder}/volumeplugins",
        }
    )


def proxy_config(kubeconfig: Path) -> str:
    return json.dumps(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "clusterCIDR": POD_RANGE,
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "hostnameOverride": NAME,
        }
    )


def volumes(folder: Path, count: int) -> str:
    """Folders of the machine as volumes. The kubelet gives those no group, so everybody may write into them."""
    items: list[dict[str, Any]] = []
    for number in range(count):
        place = folder / "volumes" / str(number)
        place.mkdir(parents=True)
        place.chmod(0o777)
        items.append(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": f"volume-{number}"},
                "spec": {
                    "capacity": {"storage": "20Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "persistentVolumeReclaimPolicy": "Retain",
                    "hostPath": {"path": str(place), "type": "Directory"},
                },
            }
        )
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
