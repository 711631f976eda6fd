import { isIP } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Server, ServerCredentials, loadPackageDefinition, status } from '@grpc/grpc-js';
import type { ServiceDefinition, sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import ipaddr from 'ipaddr.js';
import { problemOfId, problemOfTenantId } from '../../../shared/domain/identity.ts';
import type { LimitState } from '../../../shared/domain/limit.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import { authorityOf } from '../../../shared/runtime/listen-address.ts';
import type { Gate } from '../gate.ts';
import { limitHeaders } from '../headers.ts';
import { problemOf, problemType } from '../problem.ts';
import { closestLimit, passes } from '../verdict.ts';
import type { Verdict } from '../verdict.ts';

interface RateLimitRequest {
  readonly domain: string;
  readonly descriptors: readonly {
    readonly entries: readonly { readonly key: string; readonly value: string }[];
  }[];
  readonly hits_addend: number;
}

type Answer = sendUnaryData<object>;

export interface RlsServer {
  readonly port: number;
  close(): Promise<void>;
}

const uint32Max = 0xffff_ffff;
const messageBytesMax = 256 * 1024;

/**
 * Envoy's `envoy.service.ratelimit.v3.RateLimitService`. All descriptors of a call describe one request, by the keys
 * tenant_id (or tenant), user, remote_address, method, path and plan; it is decided about once, and every descriptor
 * gets that answer. Envoy vouches for what it says, as a service does, so this listener is for private networks.
 */
export async function listenRls(gate: Gate, host: string, port: number): Promise<RlsServer> {
  const server = new Server({ 'grpc.max_receive_message_length': messageBytesMax });
  server.addService(rateLimitService(), {
    shouldRateLimit: (call: ServerUnaryCall<RateLimitRequest, object>, answer: Answer) => {
      decide(gate, call.request, answer).catch((error: unknown) => {
        answer({ code: status.INTERNAL, details: messageOf(error) });
      });
    },
  });
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(authorityOf(host, port), ServerCredentials.createInsecure(), (error, at) => {
      if (error === null) resolve(at);
      else reject(error);
    });
  });
  return { port: bound, close: () => closeServer(server) };
}

function rateLimitService(): ServiceDefinition {
  const definition = loadSync(fileURLToPath(new URL('rls.proto', import.meta.url)), {
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
  });
  const loaded = loadPackageDefinition(definition) as unknown as {
    envoy: { service: { ratelimit: { v3: { RateLimitService: { service: ServiceDefinition } } } } };
  };
  return loaded.envoy.service.ratelimit.v3.RateLimitService.service;
}

async function decide(gate: Gate, request: RateLimitRequest, answer: Answer): Promise<void> {
  const startedAt = performance.now();
  const entries = entriesOf(request);
  const tenantId = entries.get('tenant_id') ?? entries.get('tenant') ?? null;
  const userId = entries.get('user') ?? null;
  const address = entries.get('remote_address') ?? '';
  const problem = problemOfCaller(tenantId, userId, address);
  if (problem !== null) {
    answer({ code: status.INVALID_ARGUMENT, details: problem });
    return;
  }
  const ip = address === '' ? '' : ipaddr.process(address).toString();
  const verdict = await gate.decide({
    who: {
      identity: { tenantId, userId, planClaim: null, ip, service: null, method: 'service' },
      refusal: null,
    },
    method: (entries.get('method') ?? 'GET').toUpperCase(),
    url: entries.get('path') ?? '/',
    cost: request.hits_addend === 0 ? null : request.hits_addend,
    peek: false,
    hold: false,
    plan: entries.get('plan') ?? null,
  });
  const code = passes(verdict) ? 200 : 429;
  await gate.meter(verdict, { status: code, latencyMs: performance.now() - startedAt, door: 'rls' });
  answer(null, responseOf(verdict, request.descriptors.length));
}

/** Of a key that is given twice the first stands. */
function entriesOf({ descriptors }: RateLimitRequest): ReadonlyMap<string, string> {
  const entries = new Map<string, string>();
  for (const descriptor of descriptors) {
    for (const { key, value } of descriptor.entries) {
      if (value !== '' && !entries.has(key)) entries.set(key, value);
    }
  }
  return entries;
}

function problemOfCaller(tenantId: string | null, userId: string | null, address: string): string | null {
  if (tenantId === null && userId === null && address === '') {
    return 'A descriptor must say whose request it is: tenant_id, user or remote_address';
  }
  if (address !== '' && isIP(address) === 0) return 'remote_address is not an address';
  const wrongTenant = tenantId === null ? null : problemOfTenantId(tenantId);
  if (wrongTenant !== null) return `tenant_id ${wrongTenant}`;
  const wrongUser = userId === null ? null : problemOfId(userId);
  return wrongUser === null ? null : `user ${wrongUser}`;
}

function responseOf(verdict: Verdict, descriptors: number): object {
  const allowed = passes(verdict);
  const code = allowed ? 'OK' : 'OVER_LIMIT';
  const closest = closestLimit(verdict.decision.limits);
  const limitStatus = closest === null ? { code } : { code, ...windowOf(closest, verdict.decidedAtMs) };
  const headers = Object.entries(limitHeaders(verdict)).map(([key, value]) => ({ key, value }));
  return {
    overall_code: code,
    statuses: Array.from({ length: descriptors }, () => limitStatus),
    response_headers_to_add: allowed ? headers : [...headers, { key: 'content-type', value: problemType }],
    raw_body: allowed ? Buffer.alloc(0) : Buffer.from(JSON.stringify(problemOf(verdict))),
  };
}

function windowOf(state: LimitState, nowMs: number): object {
  const seconds = Math.max(0, Math.ceil((state.resetAtMs - nowMs) / 1000));
  return {
    current_limit: {
      name: state.name,
      requests_per_unit: Math.min(uint32Max, state.limit),
      unit: units.get(state.windowMs) ?? 'UNKNOWN',
    },
    limit_remaining: Math.min(uint32Max, state.remaining),
    duration_until_reset: { seconds, nanos: 0 },
  };
}

const units: ReadonlyMap<number, string> = new Map([
  [1_000, 'SECOND'],
  [60_000, 'MINUTE'],
  [3_600_000, 'HOUR'],
  [86_400_000, 'DAY'],
  [7 * 86_400_000, 'WEEK'],
  [30 * 86_400_000, 'MONTH'],
]);

/** Calls under way finish; connections that do not end by themselves are cut. */
async function closeServer(server: Server): Promise<void> {
  const graceMs = 2_000;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, graceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
