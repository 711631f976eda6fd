import { TollgateClient } from '../../packages/client/client.ts';
import type { ReservedCall, TollgateError } from '../../packages/client/client.ts';
import { UsagePublisher } from '../../packages/client/publisher.ts';
import type { Ledger } from '../faults/whole-path/load.ts';
import { signToken } from '../faults/whole-path/load.ts';
import { eventually } from '../support/servers.ts';

/** Two gateways behind which a client does not notice that one of them is replaced. */
export interface GatewayUrls {
  readonly gateway: string;
  readonly api: string;
}

export interface Traffic {
  readonly ledger: Ledger;
  /** Number of events that were published. */
  readonly published: () => number;
  /** Sum of the tokens of all settled calls. */
  readonly tokens: () => number;
  /** Calls and publications that did not succeed at any gateway. */
  readonly failures: readonly string[];
  /** Settles the calls that are in progress, each at another gateway than the one that reserved, and begins new ones. */
  turn(): Promise<void>;
  stop(): Promise<void>;
}

export interface TrafficOptions {
  readonly gateways: readonly [GatewayUrls, GatewayUrls];
  readonly jwtSecret: string;
  readonly serviceToken: string;
  readonly tenants: readonly string[];
  /** The tenant of reservations and published events. */
  readonly appTenant: string;
}

const inFlightMax = 4;
const callsPerTurn = 6;
/** About 100 requests a second leave the processor to the services that start. */
const tickMs = 10;

/** Sends requests, published events and reservations to both gateways until it is stopped. */
export async function startTraffic(options: TrafficOptions): Promise<Traffic> {
  const { gateways, jwtSecret, serviceToken, tenants, appTenant } = options;
  const tokens = await Promise.all(tenants.map((tenant) => signToken(tenant, jwtSecret)));
  const received = new Map<string, Set<string>>();
  const failures: string[] = [];
  const strange: string[] = [];
  let [responses, unanswered, published, sent, settled] = [0, 0, 0, 0, 0];
  let inFlight = 0;
  const onError = ({ message }: TollgateError): void => void failures.push(message);
  const publishers = gateways.map(
    ({ api }) => new UsagePublisher({ url: api, token: serviceToken, source: 'upgrade', onLost: lost }),
  );
  const apps = gateways.map(
    ({ api }) =>
      new TollgateClient({
        ...{ url: api, token: serviceToken, onFailure: 'closed', onError },
        checkTimeoutMs: 5_000,
      }),
  );
  let open: { readonly call: ReservedCall; readonly by: number }[] = [];
  const timer = setInterval(() => {
    if (inFlight >= inFlightMax) return;
    inFlight += 1;
    void sendRequest().finally(() => (inFlight -= 1));
  }, tickMs);

  return {
    ledger: {
      received,
      responses: () => responses,
      unanswered: () => unanswered,
      strange: () => strange,
      stop: () => Promise.resolve(),
    },
    published: () => published,
    tokens: () => settled,
    failures,
    turn,
    stop: async () => {
      clearInterval(timer);
      await eventually(() => inFlight === 0);
      await settleOpen();
      for (const publisher of publishers) if (!(await publisher.close(60_000))) lost(1);
    },
  };

  async function turn(): Promise<void> {
    const before = responses;
    await eventually(() => responses >= before + 200);
    await settleOpen();
    for (let count = 0; count < callsPerTurn; count += 1) {
      const by = count % 2;
      const reserve = { usage: { output_tokens: 100 } };
      const request = { tenant_id: appTenant, method: 'POST', path: '/work', reserve };
      const call = await apps[by]?.reserve(request);
      if (call?.allowed !== true) failures.push('a reservation was refused');
      else {
        open.push({ call, by });
        remember(`${appTenant} allowed`, call.decision.decision_id ?? '');
      }
    }
  }

  async function settleOpen(): Promise<void> {
    const settling = open.map(async ({ call, by }, index) => {
      const output = 10 + index;
      await apps[1 - by]?.settle(call.id, {
        tenant_id: appTenant,
        usage: { output_tokens: output },
        status: 200,
      });
      settled += output;
    });
    open = [];
    await Promise.all(settling);
  }

  async function sendRequest(): Promise<void> {
    const turn = sent++;
    const index = turn % tenants.length;
    if (turn % 10 === 0) {
      published += 1;
      publishers[turn % 20 === 0 ? 0 : 1]?.publish({
        type: 'tokens.used',
        subject: appTenant,
        data: { units: 2 },
      });
    }
    const first = turn % 2;
    const authorization = `Bearer ${tokens[index] ?? ''}`;
    const answer = (await send(first, authorization)) ?? (await send(1 - first, authorization));
    if (answer === null) failures.push('neither gateway answered');
    else if (answer.id === null || ![200, 429].includes(answer.status))
      strange.push(`${answer.status} ${String(answer.id)}`);
    else remember(`${tenants[index] ?? ''} ${answer.status === 429 ? 'limited' : 'allowed'}`, answer.id);
  }

  /** Null if the gateway did not answer: it may have decided about the request and written its event, or not. */
  async function send(
    by: number,
    authorization: string,
  ): Promise<{ status: number; id: string | null } | null> {
    try {
      const signal = AbortSignal.timeout(10_000);
      const response = await fetch(`${gateways[by]?.gateway ?? ''}/v1/things`, {
        headers: { authorization },
        signal,
      });
      await response.arrayBuffer();
      responses += 1;
      return { status: response.status, id: response.headers.get('x-tollgate-decision') };
    } catch (error) {
      // A gateway that does not listen has decided about nothing.
      if ((error as { cause?: { code?: string } }).cause?.code !== 'ECONNREFUSED') unanswered += 1;
      return null;
    }
  }

  function remember(key: string, id: string): void {
    received.set(key, (received.get(key) ?? new Set()).add(id));
  }

  function lost(count: number): void {
    failures.push(`${count} published events were lost`);
  }
}
