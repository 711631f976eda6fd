"""Publishes with the official CloudEvents SDK over HTTP (requests) and Kafka (confluent-kafka), and prints the responses.

Arguments: api URL, token, tenant, brokers, topic.
"""
import json
import sys

import requests
from cloudevents.core.bindings import http, kafka
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1.http import CloudEvent as OlderEvent
from cloudevents.v1.http import to_binary, to_structured
from confluent_kafka import Producer

api, token, tenant, brokers, topic = sys.argv[1:]


def event(id, data, **extensions):
    attributes = {"id": id, "source": "/python", "type": "tokens.used", "specversion": "1.0", "subject": tenant}
    return CloudEvent({**attributes, "datacontenttype": "application/json", **extensions}, data)


def post(headers, body):
    response = requests.post(api + "/v1/events", headers={**headers, "authorization": "Bearer " + token}, data=body)
    return [response.status_code, response.json()]


def older(id, **attributes):
    own = {"id": id, "source": "/python", "type": "tokens.used", "subject": tenant}
    return OlderEvent({**own, **attributes}, {"units": 1})


responses = {}
message = http.to_binary_event(event('http binary größer "7" 100%', {"units": 1}, traceparent="00-ab"))
responses["binary"] = post(message.headers, message.body)
message = http.to_structured_event(event("http structured größer", {"units": 1}, traceparent="00-ab"))
responses["structured"] = post(message.headers, message.body)
message = http.to_structured_event(event("http base64", json.dumps({"units": 1}).encode()))
responses["base64"] = post(message.headers, message.body)
responses["older binary"] = post(*to_binary(older("older binary")))
responses["older structured"] = post(*to_structured(older("older structured")))
bodies = [http.to_structured_event(event(f"batch {n}", {"units": 1})).body.decode() for n in range(3)]
# json.dumps writes NaN, which is not JSON. Only this event of the batch may be rejected.
batch = "[" + ",".join([bodies[0], json.dumps({"id": "nan", "data": {"units": float("nan")}}), *bodies[1:]]) + "]"
responses["batch"] = post({"content-type": "application/cloudevents-batch+json"}, batch.encode())

producer = Producer({"bootstrap.servers": brokers, "compression.type": "none"})
errors = []


def send(message, key):
    producer.produce(
        topic,
        key=key,
        value=message.value,
        headers=list(message.headers.items()),
        on_delivery=lambda error, _: errors.append(str(error)) if error else None,
    )


for key in [tenant, "another key", None]:
    binary = event("kafka binary größer", {"units": 1}, traceparent="00-ab")
    send(kafka.to_binary_event(binary), key)
for key in ["another key", tenant]:
    send(kafka.to_structured_event(event("kafka structured", {"units": 1}, partitionkey="p")), key)
producer.flush(30)
print(json.dumps({"responses": responses, "errors": errors}))
