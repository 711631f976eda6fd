import type { RequestData, RequestEvent } from '../../../shared/domain/usage-event.ts';
import { jsonText } from '../spool/folder/run-id.ts';

/**
 * Returns the JSON text of the event of a request, equal to that of `JSON.stringify`, with the attributes `first` at its
 * beginning. It costs about a third, because the names and the order of the fields are part of the code, and the text of
 * neighbouring fields that repeat together is written once. `JSON.stringify` writes an event with a field that few events
 * have, such as a reservation.
 */
export function requestEventText(event: RequestEvent, first: string): string {
  const { id, time, data, traceparent } = event;
  if (traceparent !== undefined || hasRareField(data)) return jsonText(event, first);
  const { user_id, path, status, decision, limited_by, units, cost, latency_ms, check_us } = data;
  const { sequence, degraded, decided_after_us, api_key } = data;
  const origin = originOf(event);
  return (
    `{${first}"specversion":"1.0","id":${quoted(id)}${origin.beforeTime}${time}${tenantText(event)}` +
    `${user_id === '' ? '""' : quotedName(user_id)}${routeText(data)}${quoted(path)},` +
    `"status":${status},"decision":"${decision}","limited_by":${limited_by.length === 0 ? '[]' : JSON.stringify(limited_by)},` +
    `"units":${units},"cost":${typeof cost === 'number' ? cost : quoted(cost)},"latency_ms":${latency_ms},` +
    `"check_us":${check_us}${origin.node}${sequence},"degraded":${degraded}${origin.untilPolicy}` +
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

/** The texts around the fields that the events of one client address have in common while the policy does not change. */
interface OriginTexts {
  readonly source: string;
  readonly type: string;
  readonly nodeName: string;
  readonly service: string;
  readonly entrypoint: string;
  readonly revision: string | undefined;
  readonly beforeTime: string;
  readonly node: string;
  readonly untilPolicy: string;
}

interface RouteText {
  readonly plan: string;
  readonly method: string;
  readonly text: string;
}

/** Largest number of texts in each of the caches. */
const textsMax = 4_096;
const originTexts = new Map<string, OriginTexts>();
const routeTexts = new Map<string, RouteText>();
const tenantTexts = new Map<string, string>();
const names = new Map<string, string>();

function remember<Text>(texts: Map<string, Text>, key: string, text: Text): Text {
  if (texts.size >= textsMax) texts.clear();
  texts.set(key, text);
  return text;
}

function originOf({ source, type, data }: RequestEvent): OriginTexts {
  const { node, client_ip, service, entrypoint, policy_revision: revision } = data;
  const found = originTexts.get(client_ip);
  const isSame =
    found?.service === service &&
    found.entrypoint === entrypoint &&
    found.revision === revision &&
    found.nodeName === node &&
    found.source === source &&
    found.type === type;
  if (isSame) return found;
  return remember(originTexts, client_ip, {
    ...{ source, type, nodeName: node, service, entrypoint, revision },
    beforeTime: `,"source":${quoted(source)},"type":"${type}","time":"`,
    node: `,"node":${quoted(node)},"sequence":`,
    untilPolicy:
      `,"client_ip":${quoted(client_ip)},"service":${quoted(service)},"entrypoint":${quoted(entrypoint)}` +
      (revision === undefined ? '' : `,"policy_revision":${quoted(revision)}`),
  });
}

function tenantText({ subject }: RequestEvent): string {
  return (
    tenantTexts.get(subject) ??
    remember(
      tenantTexts,
      subject,
      `","subject":${quoted(subject)},"datacontenttype":"application/json","data":{"user_id":`,
    )
  );
}

function routeText({ plan, method, route }: RequestData): string {
  const found = routeTexts.get(route);
  if (found?.plan === plan && found.method === method) return found.text;
  const text = `,"plan":${quoted(plan)},"method":${quoted(method)},"route":${quoted(route)},"path":`;
  return remember(routeTexts, route, { plan, method, text }).text;
}

/** Characters of which `JSON.stringify` changes none. */
const plain = /^[ !#-[\]-~]*$/;

function quoted(text: string): string {
  return plain.test(text) ? `"${text}"` : JSON.stringify(text);
}

/** The same for a text that is probably in many events. */
function quotedName(text: string): string {
  return names.get(text) ?? remember(names, text, quoted(text));
}
