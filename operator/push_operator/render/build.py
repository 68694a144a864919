"""Every object of one PushCluster but its generated Secret, in the order in which they are applied."""

from __future__ import annotations

from push_operator.plan.workload import Plan
from push_operator.render.access import access_objects
from push_operator.render.disruption import disruption_objects
from push_operator.render.expose import expose_objects
from push_operator.render.monitoring import monitoring_objects
from push_operator.render.objects import Images, Object, Owner
from push_operator.render.services import service_objects
from push_operator.render.settings import config_objects
from push_operator.render.workloads import workload_objects


def render(owner: Owner, plan: Plan, images: Images) -> tuple[Object, ...]:
    """What pods refer to comes before them."""
    return (
        *access_objects(owner, plan),
        *config_objects(owner, plan),
        *service_objects(owner, plan),
        *expose_objects(owner, plan),
        *disruption_objects(owner, plan),
        *monitoring_objects(owner, plan),
        *workload_objects(owner, plan, images),
    )
