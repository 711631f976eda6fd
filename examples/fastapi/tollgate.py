"""Middleware for FastAPI and Starlette: sends a check to Tollgate before each request, and reports the outcome."""

import asyncio
import logging
import time

import httpx
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse

log = logging.getLogger("tollgate")


class Tollgate(BaseHTTPMiddleware):
    def __init__(self, app, url, token, tenant_of, on_failure="open", timeout=0.25, exempt=()):
        super().__init__(app)
        self.client = httpx.AsyncClient(base_url=url, headers={"X-Service-Token": token}, timeout=timeout)
        self.tenant_of = tenant_of
        self.on_failure = on_failure
        self.exempt = frozenset(exempt)
        self.reports = set()

    async def dispatch(self, request, call_next):
        if request.url.path in self.exempt:
            return await call_next(request)
        started = time.perf_counter()
        decision = await self.check(request)
        if decision is None and self.on_failure == "closed":
            detail = "The limits cannot be checked now; try again."
            problem = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": detail}
            return self.respond(problem, {"retry-after": "1"})
        if decision is not None and not decision["allowed"]:
            return self.respond(decision["problem"], decision["headers"])
        response = await call_next(request)
        if decision is not None:
            response.headers.update(decision["headers"])
            self.report(decision["decision_id"], response.status_code, time.perf_counter() - started)
        return response

    async def check(self, request):
        """Returns the decision, or None if Tollgate does not decide. Never repeats: a check may have consumed units."""
        body = {"tenant_id": self.tenant_of(request), "method": request.method, "path": request.url.path}
        try:
            answer = await self.client.post("/v1/check", json=body)
            if answer.status_code == 200:
                return answer.json()
            log.error("Tollgate answered %s: %s", answer.status_code, answer.text)
        except httpx.HTTPError as error:
            log.error("Tollgate did not answer: %r", error)
        return None

    def report(self, decision_id, status, seconds):
        outcome = {"decision_id": decision_id, "status": status, "latency_ms": seconds * 1000}
        task = asyncio.ensure_future(self.send(outcome))
        # The event loop keeps only a weak reference to a task.
        self.reports.add(task)
        task.add_done_callback(self.reports.discard)

    async def send(self, outcome):
        try:
            await self.client.post("/v1/outcomes", json={"outcomes": [outcome]}, timeout=5)
        except httpx.HTTPError as error:
            log.error("the outcome was not reported: %r", error)

    @staticmethod
    def respond(problem, headers):
        return JSONResponse(problem, problem["status"], headers, media_type="application/problem+json")
