"""Publishes with the official CloudEvents SDK over HTTP (requests) and Kafka (confluent-kafka), and prints what came back.

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
    answer = requests.post(api + "/v1/events", headers={**headers, "authorization": "Bearer " + token}, data=body)
    return [answer.status_code, answer.json()]


def older(id, **attributes):
    own = {"id": id, "source": "/python", "type": "tokens.used", "subject": tenant}
    return OlderEvent({**own, **attributes}, {"units": 1})


answers = {}
message = http.to_binary_event(event('http binary größer "7" 100%', {"units": 1}, traceparent="00-ab"))
answers["binary"] = post(message.headers, message.body)
message = http.to_structured_event(event("http structured größer", {"units": 1}, traceparent="00-ab"))
answers["structured"] = post(message.headers, message.body)
message = http.to_structured_event(event("http base64", json.dumps({"units": 1}).encode()))
answers["base64"] = post(message.headers, message.body)
answers["older binary"] = post(*to_binary(older("older binary")))
answers["older structured"] = post(*to_structured(older("older structured")))
bodies = [http.to_structured_event(event(f"batch {n}", {"units": 1})).body.decode() for n in range(3)]
# As json.dumps writes what is not a number: it must not cost the others.
batch = "[" + ",".join([bodies[0], json.dumps({"id": "nan", "data": {"units": float("nan")}}), *bodies[1:]]) + "]"
answers["batch"] = post({"content-type": "application/cloudevents-batch+json"}, batch.encode())

producer = Producer({"bootstrap.servers": brokers, "compression.type": "none"})
problems = []


def send(message, key):
    producer.produce(
        topic,
        key=key,
        value=message.value,
        headers=list(message.headers.items()),
        on_delivery=lambda error, _: problems.append(str(error)) if error else None,
    )


for key in [tenant, "another key", None]:
    binary = event("kafka binary größer", {"units": 1}, traceparent="00-ab")
    send(kafka.to_binary_event(binary), key)
for key in ["another key", tenant]:
    send(kafka.to_structured_event(event("kafka structured", {"units": 1}, partitionkey="p")), key)
producer.flush(30)
print(json.dumps({"answers": answers, "problems": problems}))
