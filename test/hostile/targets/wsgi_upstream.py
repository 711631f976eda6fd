"""A WSGI server that routes by PATH_INFO, as Flask and Django do: decoded once, neither resolved nor merged."""

import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

ROUTES = {"/agent/chat": "chat", "/free": "free"}


def serve(environ, start_response):
    path = environ["PATH_INFO"]
    served = ROUTES.get(path, "files" if path.startswith("/files/") else "other")
    claimed = [value for name, value in environ.items() if name == "HTTP_X_TOLLGATE_TENANT"]
    start_response("200 OK", [("X-Served", served), ("X-Tenant", ",".join(claimed))])
    return [b"served"]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


make_server("127.0.0.1", int(sys.argv[1]), serve, handler_class=Quiet).serve_forever()
