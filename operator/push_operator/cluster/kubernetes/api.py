"""Requests to the API server: the official client's transport, with our timeouts, our errors and the leader's fence.

Paths are made here and not discovered: the kinds are known, and the client's discovery keeps a cache file in a folder
that a read-only pod does not have.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final

import aiohttp
from kubernetes.aio.client import ApiClient, ApiException, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from kubernetes.aio.dynamic import DynamicClient

from push_operator.cluster.kubernetes.kinds import Kind
from push_operator.errors import ClusterError, Conflict, Forbidden, NotFound, Rejected
from push_operator.render.objects import Object

FIELD_MANAGER: Final = "push-operator"
REQUEST_SECONDS: Final = 5.0  # below the fence: a write that was allowed ends before another may lead
PAGE: Final = 500
_JSON, _MERGE, _APPLY = "application/json", "application/merge-patch+json", "application/apply-patch+yaml"
_ERRORS: Final[Mapping[int, type[ClusterError]]] = {404: NotFound, 409: Conflict, 400: Rejected, 422: Rejected}

Count = Callable[[str, str, str, float], None]
"""verb, resource, the class of the answer's status (`none`: there was no answer), seconds"""


class Api:
    """`fence` is called before each write and raises when it may not happen; `count` is told of each request."""

    def __init__(
        self, client: DynamicClient, fence: Callable[[], None], count: Count = lambda *_: None
    ) -> None:  # fmt: skip
        self._client, self._fence, self._count = client, fence, count

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """None when it is not there."""
        try:
            return await self._ask("get", kind, kind.path(namespace, name))
        except NotFound:
            return None

    async def served(self, kind: Kind) -> bool:
        """Whether the API server knows the kind."""
        try:
            found = await self._ask("discover", kind, f"/apis/{kind.api_version}")
        except NotFound:
            return False
        return any(one["name"] == kind.plural for one in found["resources"])

    async def list_all(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Object]:
        """All of them, page by page; `namespace` None: of every namespace."""
        items: list[Object] = []
        query = [("limit", PAGE), ("labelSelector", selector)]
        after = ""
        while True:
            page = await self._ask("list", kind, kind.path(namespace), query=[*query, ("continue", after)])
            # Items of a list do not say what they are.
            items += [{"apiVersion": kind.api_version, "kind": kind.kind, **one} for one in page["items"]]
            after = page["metadata"].get("continue") or ""
            if not after:
                return items

    async def create(self, kind: Kind, body: Object) -> Object:
        path = kind.path(body["metadata"]["namespace"])
        return await self._ask("create", kind, path, body, query=[("fieldManager", FIELD_MANAGER)])

    async def apply(self, kind: Kind, body: Object, subresource: str = "") -> Object:
        """Server-side apply. What others own of the object stays; what is said here is ours, whoever had it before."""
        meta = body["metadata"]
        path = kind.path(meta["namespace"], meta["name"], subresource)
        query = [("fieldManager", FIELD_MANAGER), ("force", "true")]
        return await self._ask("patch", kind, path, body, _APPLY, query)

    async def merge(self, kind: Kind, body: Object) -> Object:
        path = kind.path(body["metadata"]["namespace"], body["metadata"]["name"])
        return await self._ask("patch", kind, path, body, _MERGE, [("fieldManager", FIELD_MANAGER)])

    async def replace(self, kind: Kind, body: Object) -> Object:
        """Raises Conflict unless the body's resourceVersion is the present one."""
        path = kind.path(body["metadata"]["namespace"], body["metadata"]["name"])
        return await self._ask("update", kind, path, body, query=[("fieldManager", FIELD_MANAGER)])

    async def delete(self, kind: Kind, live: Object) -> None:
        """Exactly the object that was seen, as it was seen: Conflict when it has changed or is another one."""
        meta = live["metadata"]
        seen = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": seen}
        try:
            await self._ask("delete", kind, kind.path(meta["namespace"], meta["name"]), body)
        except NotFound:
            return

    async def _ask(
        self, verb: str, kind: Kind, path: str, body: Object | None = None, content_type: str = _JSON,
        query: list[tuple[str, Any]] | None = None,
    ) -> Object:  # fmt: skip
        if verb not in ("get", "list", "discover"):
            self._fence()
        began, status = monotonic(), "none"
        method = {"create": "post", "update": "put", "patch": "patch", "delete": "delete"}.get(verb, "get")
        given = [(name, value) for name, value in query or () if value != ""]
        try:
            answer = await self._client.request(
                method, path, body=body, query_params=given, content_type=content_type, serialize=False,
                _request_timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
            )  # fmt: skip
            decoded: Object = await answer.json()
            status = "2xx"
        except ApiException as error:
            status = f"{int(error.status or 0) // 100}xx"
            raise _translated(verb, kind, path, error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ClusterError(f"the API server does not answer: {str(error) or type(error).__name__}") from error
        finally:
            self._count(verb, kind.plural, status, monotonic() - began)
        return decoded


def _translated(verb: str, kind: Kind, path: str, error: Any) -> ClusterError:
    """The error of our own family, with the API server's own words."""
    status = int(error.status or 0)
    said = error.summary() if hasattr(error, "summary") else str(error.reason)
    if status in (401, 403):
        return Forbidden(f"the operator may not {verb} {kind.plural}: {said}")
    return _ERRORS.get(status, ClusterError)(said or f"{status} for {path}")


@asynccontextmanager
async def connected(kubeconfig: str | None) -> AsyncIterator[DynamicClient]:
    """A client for the cluster: of `kubeconfig` when given, else the one this pod runs in. Raises ClusterError."""
    configuration = Configuration()
    try:
        if kubeconfig:
            await load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        else:
            load_incluster_config(client_configuration=configuration)
        client = ApiClient(configuration)
    except (ConfigException, OSError, ssl.SSLError) as error:
        where = f"the kubeconfig {kubeconfig}" if kubeconfig else "this pod's service account"
        raise ClusterError(f"{where} cannot be used: {error}") from error
    try:
        yield DynamicClient(client)
    finally:
        await client.close()
        await asyncio.sleep(0)  # lets the transports say goodbye


def own_namespace(environ: Mapping[str, str]) -> str:
    """Where the operator itself runs, for its Lease."""
    file = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
    return environ.get("POD_NAMESPACE") or (file.read_text().strip() if file.exists() else "default")
