import { setTimeout as pause } from 'node:timers/promises';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import type { ApiServer } from '../api-server.ts';
import { sendProblem } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { plainProblem, problemOf } from '../problem.ts';
import type { Problem } from '../problem.ts';
import { passes } from '../verdict.ts';
import type { Verdict } from '../verdict.ts';

const querySchema = Type.Object({
  refuse: Type.Optional(
    Type.Enum(['403'] as const, {
      description: 'Refuse with 403 where the proxy understands no 429 (nginx).',
    }),
  ),
});

/**
 * `GET /v1/authz` for proxies that ask before they pass a request on: nginx `auth_request`, Traefik and Caddy forward
 * authentication. The request is described by X-Original-Method and X-Original-URI, or by X-Forwarded-Method and
 * X-Forwarded-Uri; the client's own credentials come along. Nginx understands only 2xx, 401 and 403 here: with
 * `?refuse=403` a refusal is a 403 whose X-Tollgate-Status and X-Tollgate-Problem say what to answer the client.
 */
export function registerAuthz(app: ApiServer, gate: Gate): void {
  app.get(
    '/v1/authz',
    {
      schema: { summary: 'Decide for a proxy (auth_request, forward-auth)', querystring: querySchema },
      config: { access: 'decision', work: 'decision' },
    },
    async (request, reply) => {
      const startedAt = performance.now();
      const original = originalRequest(request.headers);
      if (original === null || request.caller === null) {
        sendProblem(
          reply,
          plainProblem(400, 'X-Original-URI (or X-Forwarded-Uri) must say which path is asked for.'),
        );
        return reply;
      }
      const who = request.caller;
      const verdict = await gate.decide({
        who,
        ...original,
        cost: null,
        peek: false,
        hold: false,
        plan: null,
      });
      request.verdict = verdict;
      if (verdict.decision.delayMs > 0) {
        gate.metrics.delaySeconds.observe(verdict.decision.delayMs / 1000);
        await pause(verdict.decision.delayMs);
      }
      const problem = passes(verdict) ? null : problemOf(verdict);
      const status = problem?.status ?? 200;
      await gate.meter(verdict, { status, latencyMs: performance.now() - startedAt, door: 'authz' });
      if (problem !== null) return refuse(reply, problem, request.query.refuse === '403');
      return reply.headers(identityHeaders(verdict)).code(200).send();
    },
  );
}

function originalRequest(headers: IncomingHttpHeaders): { method: string; url: string } | null {
  const method = one(headers['x-original-method']) ?? one(headers['x-forwarded-method']) ?? 'GET';
  const url =
    one(headers['x-original-uri']) ??
    one(headers['x-forwarded-uri']) ??
    pathOf(one(headers['x-original-url']));
  if (url?.startsWith('/') !== true || !/^[A-Za-z]{1,32}$/.test(method)) return null;
  return { method: method.toUpperCase(), url };
}

/** Some proxies give the whole address. */
function pathOf(url: string | undefined): string | undefined {
  if (url === undefined || url.startsWith('/')) return url;
  return URL.canParse(url) ? new URL(url).pathname : undefined;
}

function one(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && header !== '' ? header : undefined;
}

function refuse(reply: FastifyReply, problem: Problem, as403: boolean): FastifyReply {
  if (!as403 || problem.status === 401) {
    sendProblem(reply, problem);
    return reply;
  }
  void reply.header('x-tollgate-status', String(problem.status)).header('x-tollgate-problem', ascii(problem));
  sendProblem(reply, { ...problem, status: 403 });
  return reply;
}

/** What may go on to the upstream, for proxies that copy answer headers to the request. */
function identityHeaders({ identity, plan }: Verdict): Record<string, string> {
  return {
    'x-tollgate-plan': plan.name,
    ...(identity.tenantId === null ? {} : { 'x-tollgate-tenant': encodeURIComponent(identity.tenantId) }),
    ...(identity.userId === null ? {} : { 'x-tollgate-user': encodeURIComponent(identity.userId) }),
  };
}

/** JSON that fits into a header field: everything beyond ASCII as an escape. */
function ascii(problem: Problem): string {
  return JSON.stringify(problem).replaceAll(
    /[^\u0020-\u007e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
