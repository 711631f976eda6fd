"""Uses the client that openapi-python-client generates: check with a reservation, settle, usage, and an error."""

import sys
import uuid

from tollgate_client import AuthenticatedClient
from tollgate_client.api.decisions import check, settle_reservation
from tollgate_client.api.usage import get_usage
from tollgate_client.models import (
    CheckBody,
    CheckBodyReserveType0,
    CheckBodyReserveType0Usage,
    CheckResponse200,
    CheckResponse200Reservation,
    GetUsageResponse200,
    Problem,
    SettleReservationBody,
    SettleReservationBodyUsage,
    SettleReservationResponse200,
)

url, token, tenant = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token)


def reserving(output_tokens: int) -> CheckBody:
    usage = CheckBodyReserveType0Usage()
    usage["output_tokens"] = output_tokens
    reserve = CheckBodyReserveType0(usage=usage, model="small-1", id=str(uuid.uuid4()))
    return CheckBody(method="POST", path="/work", tenant_id=tenant, reserve=reserve)


decision = check.sync(client=client, body=reserving(500))
assert isinstance(decision, CheckResponse200), decision
assert decision.allowed and decision.headers["x-ratelimit-limit"] != "", decision
assert isinstance(decision.reservation, CheckResponse200Reservation), decision
assert decision.reservation.amounts["tokens"] == 500, decision

used = SettleReservationBodyUsage()
used["output_tokens"] = 40
settled = settle_reservation.sync(
    decision.reservation.id,
    client=client,
    body=SettleReservationBody(usage=used, tenant_id=tenant, status=200, latency_ms=12.5),
)
assert isinstance(settled, SettleReservationResponse200), settled
assert settled.state == "settled" and settled.amounts["tokens"] == 40, settled

refused = check.sync(client=client, body=reserving(5000))
assert isinstance(refused, CheckResponse200), refused
assert not refused.allowed and refused.limited_by == ["tokens"], refused

usage = get_usage.sync(client=client, tenant_id=tenant)
assert isinstance(usage, GetUsageResponse200), usage
left = {limit.name: float(limit.limit) - float(limit.remaining) for limit in usage.limits}

refusal = get_usage.sync(client=AuthenticatedClient(base_url=url, token="wrong"), tenant_id=tenant)
assert isinstance(refusal, Problem) and refusal.status == 401, refusal
print("tokens used:", int(left["tokens"]))
