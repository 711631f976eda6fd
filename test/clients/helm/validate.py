"""Validates the objects of a YAML file against the schemas of a version of Kubernetes. Prints one line for each violation."""
import sys

import kubernetes_validate
import yaml

CUSTOM = ("monitoring.coreos.com", "grafana.integreatly.org")

path, version = sys.argv[1:]
count = 0
with open(path) as file:
    for document in yaml.safe_load_all(file):
        if document is None or document["apiVersion"].startswith(CUSTOM):
            continue
        count += 1
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            print(f"{document['kind']} {document['metadata']['name']}: {error.message}")
print(f"{count} objects")
