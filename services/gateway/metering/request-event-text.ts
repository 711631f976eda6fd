import type { RequestData, RequestEvent } from '../../../shared/domain/usage-event.ts';

/**
 * Returns the JSON text of the event of a request, equal to that of `JSON.stringify`, with the attributes `first` at its
 * beginning. It costs about half, because the names and the order of the fields are part of the code, and texts that repeat are
 * quoted once. `JSON.stringify` writes an event with a field that few events have, such as a reservation.
 */
export function requestEventText(event: RequestEvent, first: string): string {
  const { id, source, type, time, subject, data, traceparent } = event;
  if (traceparent !== undefined || hasRareField(data)) return `{${first}${JSON.stringify(event).slice(1)}`;
  const { user_id, plan, method, route, path, status, decision, limited_by, units, cost } = data;
  const { latency_ms, check_us, node, sequence, degraded, client_ip, service, entrypoint } = data;
  const { policy_revision, decided_after_us, api_key } = data;
  return (
    `{${first}"specversion":"1.0","id":${quoted(id)},"source":${quotedName(source)},"type":"${type}","time":"${time}",` +
    `"subject":${quotedName(subject)},"datacontenttype":"application/json","data":{"user_id":${quotedName(user_id)},` +
    `"plan":${quotedName(plan)},"method":${quotedName(method)},"route":${quotedName(route)},"path":${quoted(path)},` +
    `"status":${status},"decision":"${decision}","limited_by":${limited_by.length === 0 ? '[]' : JSON.stringify(limited_by)},` +
    `"units":${units},"cost":${typeof cost === 'number' ? cost : quoted(cost)},"latency_ms":${latency_ms},` +
    `"check_us":${check_us},"node":${quotedName(node)},"sequence":${sequence},"degraded":${degraded},` +
    `"client_ip":${quotedName(client_ip)},"service":${quotedName(service)},"entrypoint":${quotedName(entrypoint)}` +
    (policy_revision === undefined ? '' : `,"policy_revision":${quotedName(policy_revision)}`) +
    (decided_after_us === undefined ? '' : `,"decided_after_us":${decided_after_us}`) +
    `${api_key === undefined ? '' : `,"api_key":${quotedName(api_key)}`}}}`
  );
}

function hasRareField(data: RequestData): boolean {
  return (
    data.sample_weight !== undefined ||
    data.reservation !== undefined ||
    data.usage_source !== undefined ||
    data.quantities !== undefined ||
    data.measures !== undefined ||
    data.model !== undefined
  );
}

/** Characters of which `JSON.stringify` changes none. */
const plain = /^[ !#-[\]-~]*$/;

function quoted(text: string): string {
  return plain.test(text) ? `"${text}"` : JSON.stringify(text);
}

const namesMax = 4_096;
let names = new Map<string, string>();

/** The same for a text that is probably in many events. */
function quotedName(text: string): string {
  let found = names.get(text);
  if (found !== undefined) return found;
  if (names.size >= namesMax) names = new Map();
  names.set(text, (found = quoted(text)));
  return found;
}
