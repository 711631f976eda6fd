"""A FastAPI application on uvicorn, which decodes the path once before its router sees it."""

import sys

import uvicorn
from fastapi import FastAPI, Response

app = FastAPI()


def served(name: str) -> Response:
    return Response("served", headers={"X-Served": name})


@app.post("/agent/chat")
def chat() -> Response:
    return served("chat")


@app.post("/free")
def free() -> Response:
    return served("free")


@app.post("/files/{path:path}")
def files(path: str) -> Response:
    return served("files")


@app.api_route("/{path:path}", methods=["GET", "POST"])
def other(path: str) -> Response:
    return served("other")


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical")
