"""Ingests one event and a batch with OpenMeter's SDK, and prints the errors of an invalid event and of a wrong token.

Arguments: api URL, token, tenant.
"""
import json
import sys
from datetime import datetime, timezone

from corehttp.exceptions import HttpResponseError
from openmeter import Client
from openmeter.models import Event

api, token, tenant = sys.argv[1:]


def event(id, tokens):
    return Event(
        id=id,
        source="python",
        specversion="1.0",
        type="tokens.used",
        subject=tenant,
        time=datetime.now(timezone.utc),
        data={"units": tokens, "model": "small"},
    )


def failure(call):
    try:
        call()
        return None
    except HttpResponseError as error:
        return {"status": error.status_code, "body": error.response.json()}


with Client(endpoint=api, token=token) as client:
    client.events.ingest_event(event("python one", 1))
    client.events.ingest_events([event(f"python {n}", 1) for n in range(5)])
    bad = failure(lambda: client.events.ingest_events([event("python good", 1), event("python bad", -1)]))
with Client(endpoint=api, token="wrong") as client:
    unauthorized = failure(lambda: client.events.ingest_event(event("python unauthorized", 1)))
print(json.dumps({"bad": bad, "unauthorized": unauthorized}))
