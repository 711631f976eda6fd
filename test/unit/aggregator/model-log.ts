import { amendEventType, voidEventType } from '../../../shared/domain/events/correction.ts';
import { resentHeaders } from '../../../shared/domain/topics/resent-record.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import { nowMs } from './model.ts';

/** A record of the log of the model. */
export type Sent =
  | { readonly kind: 'request'; readonly id: number; readonly minute: number; readonly limited: boolean }
  | { readonly kind: 'meter'; readonly id: number; readonly minute: number; readonly units: number }
  | {
      readonly kind: 'amend';
      readonly id: number;
      readonly units: number;
      /** True for a correction of a gateway, which is not identified by its id. */
      readonly isOfGateway?: boolean;
      /** True if its gateway sends it again, and Kafka does not have it. */
      readonly isResent?: boolean;
    }
  | { readonly kind: 'void'; readonly id: number }
  | { readonly kind: 'reserve'; readonly id: number }
  | { readonly kind: 'settle'; readonly id: number; readonly tokens: number; readonly number: number }
  | { readonly kind: 'broken' }
  /**
   * A copy of an earlier record, which a gateway sends again. `of` modulo the offset is the offset of this record. `isPublished`: a
   * client has published it again, so it has another sequence number.
   */
  | { readonly kind: 'copy'; readonly of: number; readonly isPublished?: boolean };

/** Age in minutes of the calls with a reservation. All of them are in one minute, and no other request is. */
const callMinute = 10;

/** The records in Kafka. The first one must not be a copy. */
export function messagesOf(log: readonly Sent[], { areMarked = true } = {}): ConsumedMessage[] {
  const messages: ConsumedMessage[] = [];
  log.forEach((item, offset) => {
    const original = item.kind === 'copy' ? messages[item.of % offset] : undefined;
    const message = original === undefined ? messageOf(item, offset) : copyOf(original, offset, item);
    messages.push({ ...message, offset, ...(areMarked ? {} : { headers: {} }) });
  });
  return messages;
}

function copyOf(original: ConsumedMessage, offset: number, item: Sent): ConsumedMessage {
  const text = String(original.value);
  const isOfClient = text.includes('"source":"app"');
  if (item.kind !== 'copy' || item.isPublished !== true || !isOfClient) {
    return { ...original, headers: resentHeaders };
  }
  const value = Buffer.from(text.replace(/"spoolsequence":\d+/, `"spoolsequence":${offset + 1}`));
  return { ...original, headers: {}, value };
}

/** The record in Kafka. */
export function messageOf(item: Sent, offset: number): ConsumedMessage {
  const place = { topic: 'usage', partition: 0, offset, key: 'acme', headers: {}, timestampMs: nowMs };
  const time = (minutes: number): string => new Date(nowMs - minutes * 60_000).toISOString();
  const envelope = { specversion: '1.0', subject: 'acme', source: 'app', time: time(0) };
  const numbers = { spool: 'folder.1.aa.1', spoolsequence: offset + 1 };
  const json = (event: object): ConsumedMessage => ({
    ...place,
    value: Buffer.from(JSON.stringify({ ...numbers, ...envelope, ...event })),
  });
  switch (item.kind) {
    case 'copy':
    case 'broken':
      return { ...place, value: Buffer.from('{') };
    case 'meter':
      return json({
        id: `meter-${item.id}`,
        type: 'tokens',
        time: time(item.minute),
        data: { units: item.units },
      });
    case 'amend':
      return {
        ...json({
          id: `fix-${item.isOfGateway === true ? 'of-gateway' : offset}`,
          type: amendEventType,
          source: item.isOfGateway === true ? 'tollgate/n' : 'app',
          data: { event_id: `meter-${item.id}`, event_source: 'app', units: item.units },
        }),
        ...(item.isResent === true ? { headers: resentHeaders } : {}),
      };
    case 'void':
      return json({ id: `fix-${offset}`, type: voidEventType, data: { event_id: `meter-${item.id}` } });
    case 'reserve': {
      const reservation = {
        state: 'open',
        reserved: { tokens: 100 },
        expires_at: new Date(nowMs).toISOString(),
      };
      return json(requestOf(item.id, time(callMinute), { units: 1, reservation }));
    }
    case 'settle': {
      // A settlement with a number names the model too, which moves the call to another group of the totals.
      const { number, tokens } = item;
      const data = { quantities: { tokens }, ...(number === 0 ? {} : { model: 'small' }) };
      const reservation = { state: 'settled', ...(number === 0 ? {} : { number }) };
      const event = requestOf(item.id, time(callMinute)) as { id: string };
      return json({
        ...{ id: `settlement-${offset}`, source: 'tollgate/n', type: amendEventType },
        data: {
          ...data,
          event_id: event.id,
          event_source: 'tollgate/n',
          event_time: time(callMinute),
          reservation,
        },
      });
    }
    case 'request':
      return json(requestOf(item.id, time(item.id)));
  }
}

/** The event of a request. A repeat of the event is identical: the gateway sets id, time and content once. */
function requestOf(number: number, time: string, usage: object = {}): object {
  const stamp = Date.parse(time).toString(16).padStart(12, '0');
  return {
    id: `${stamp.slice(0, 8)}-${stamp.slice(8)}-7000-8000-00000000000${number}`,
    source: 'tollgate/n',
    type: 'tollgate.request.v1',
    time,
    data: {
      ...{
        user_id: '',
        plan: 'pro',
        method: 'GET',
        route: '*',
        path: '/',
        status: 200,
        limited_by: [],
        units: 1,
        cost: 0,
      },
      ...{
        latency_ms: 1,
        check_us: 1,
        node: 'n',
        sequence: number,
        degraded: false,
        client_ip: '',
        service: '',
      },
      ...{ entrypoint: 'proxy', decision: number % 2 === 0 ? 'allowed' : 'limited' },
      ...usage,
    },
  };
}
