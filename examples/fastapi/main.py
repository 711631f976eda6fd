import os

from fastapi import FastAPI
from tollgate import Tollgate

app = FastAPI()
app.add_middleware(
    Tollgate,
    url=os.environ.get("TOLLGATE_API", "http://127.0.0.1:8081"),
    token=os.environ["TOLLGATE_SERVICE_TOKEN"],
    # While Tollgate is away, "open" serves requests without a limit; "closed" responds with 503.
    on_failure=os.environ.get("ON_FAILURE", "open"),
    # Your application verifies its clients; here the tenant is a header.
    tenant_of=lambda request: request.headers.get("x-tenant", "anonymous-tenant"),
    exempt=["/health"],
)


@app.get("/health")
def health():
    return {"status": "ok"}


@app.post("/agent/chat")
def chat():
    return {"answer": 42}
