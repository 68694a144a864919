"""`python -m tests.support.cluster`: a cluster to try things on, with the product's images in it, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading

from tests.support.cluster.port import NoCluster
from tests.support.cluster.running import running_cluster


def main() -> int:
    try:
        with running_cluster() as cluster:
            print("· the cluster runs; building and loading images", flush=True)
            cluster.images.product()
            cluster.images.backing()
            print(f"export KUBECONFIG={cluster.kubeconfig} PATH={cluster.programs}:$PATH", flush=True)
            cluster.share()
            print("ready; tests that are started meanwhile use it; Ctrl-C removes it", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        pass
    except NoCluster as missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
