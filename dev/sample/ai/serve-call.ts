import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { beginBody, endBody, writeBody } from './encoded-body.ts';
import { generate, usageAfter } from './generation.ts';
import type { Generation } from './generation.ts';
import type { Journal } from './journal.ts';
import { InvalidRequest } from './protocol.ts';
import type { Fields, Protocol, ReportUsage, StreamEvent, StreamProtocol } from './protocol.ts';
import { InvalidSwitch, readSwitches } from './switches.ts';
import type { Switches } from './switches.ts';
import { distortUsage } from './token-usage.ts';

const abortDelayMs = 20;

/** One call in progress. */
interface Call {
  readonly protocol: Protocol;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly fields: Fields;
  readonly switches: Switches;
  readonly generation: Generation;
  readonly journal: Journal;
  readonly report: ReportUsage;
  /** Aborted when the client has disconnected. */
  readonly left: AbortSignal;
}

/** Answers one call of an AI endpoint, as its switches require, and writes it to the journal. */
export async function serveCall(
  protocol: Protocol,
  journal: Journal,
  request: IncomingMessage,
  response: ServerResponse,
  body: string,
): Promise<void> {
  let fields: Fields;
  let switches: Switches;
  let generation: Generation;
  try {
    switches = readSwitches(singleHeader(request, 'x-sample'));
    fields = parseObject(body);
    generation = generate(protocol.read(fields), switches);
  } catch (error) {
    if (!(error instanceof InvalidRequest || error instanceof InvalidSwitch)) throw error;
    return sendJson(request, response, 400, {}, protocol.error(400, error.message));
  }
  const streams = generation.stream && protocol.stream !== null;
  const failure = failureOf(request, switches);
  journal.add({
    ...(failure === null
      ? streams
        ? usageAfter(generation, 0)
        : generation.usage
      : { inputTokens: 0, cachedTokens: 0, cacheWriteTokens: 0, outputTokens: 0, reasoningTokens: 0 }),
    id: generation.id,
    endpoint: protocol.endpoint,
    model: generation.model,
    stream: streams,
    status: failure ?? 200,
    deliveredTokens: 0,
    outcome: 'open',
    decision: singleHeader(request, 'x-tollgate-decision') ?? null,
  });
  const left = endCall(journal, generation, response);
  const report: ReportUsage = (usage) => distortUsage(protocol.usage(usage), switches.usage);
  const call = { protocol, request, response, fields, switches, generation, journal, report, left };
  try {
    if (failure !== null) await sendFailure(call, failure);
    else await (streams ? sendStream(call, protocol.stream) : sendAnswer(call));
  } catch (error) {
    if (!left.aborted) throw error;
  }
}

function singleHeader({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}

function parseObject(body: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new InvalidRequest('We could not parse the JSON body of your request.');
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new InvalidRequest('The body of the request must be a JSON object.');
}

/** The status of the error to send, or null. SDKs count their tries of one call in `x-stainless-retry-count`. */
function failureOf(request: IncomingMessage, { status, times }: Switches): number | null {
  const retries = Number(singleHeader(request, 'x-stainless-retry-count') ?? 0);
  return status === null || retries >= times ? null : status;
}

/** Writes to the journal how the response ended. The signal is aborted if the client disconnected before its end. */
function endCall(journal: Journal, { id }: Generation, response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  if (response.destroyed) controller.abort();
  response.once('close', () => {
    const [entry] = journal.find(new Map([['id', id]]));
    if (entry?.outcome === 'open')
      journal.update(id, { outcome: response.writableFinished ? 'delivered' : 'left' });
    controller.abort();
  });
  return controller.signal;
}

async function untilLeft(left: AbortSignal): Promise<void> {
  if (!left.aborted) await once(left, 'abort');
}

async function sendFailure(call: Call, status: number): Promise<void> {
  const { protocol, switches, generation, request, response } = call;
  const { retryAfterSeconds: seconds } = switches;
  const headers = {
    ...protocol.headers(generation.id),
    ...(seconds === null ? {} : { 'retry-after': String(seconds) }),
  };
  const message = `The sample API was required to answer ${status}.`;
  await sendJson(request, response, status, headers, protocol.error(status, message));
}

async function sendAnswer(call: Call): Promise<void> {
  const { protocol, switches, generation, journal, request, response, fields, report, left } = call;
  if (switches.endless) return untilLeft(left);
  if (switches.pauseMs > 0) await wait(switches.pauseMs, undefined, { signal: left });
  const text = JSON.stringify(protocol.answer(generation, report, fields));
  const headers = { 'content-type': 'application/json', ...protocol.headers(generation.id) };
  const body = beginBody(request, response, 200, headers);
  if (switches.die !== null) {
    await writeBody(body, text.slice(0, text.length / 2), switches.split);
    await abort(call, 0);
    return;
  }
  await endBody(response, body, text, switches.split);
  journal.update(generation.id, {
    deliveredTokens: generation.usage.outputTokens - generation.usage.reasoningTokens,
  });
}

async function sendStream(call: Call, stream: StreamProtocol): Promise<void> {
  const { protocol, switches, generation, request, response, report } = call;
  const body = beginBody(request, response, 200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    ...protocol.headers(generation.id),
  });
  const textOf = (events: readonly StreamEvent[]): string =>
    events.map((event) => formatEvent(event, switches.crlf)).join('');
  const write = (events: readonly StreamEvent[]): Promise<void> =>
    writeBody(body, textOf(events), switches.split);
  await write(stream.opening(generation, report));
  const end = await sendTokens(call, stream, write);
  if (end !== null) await endBody(response, body, textOf(end), switches.split);
}

/** Sends the tokens. Returns the events that end the stream; null if the connection ends without them. */
async function sendTokens(
  call: Call,
  stream: StreamProtocol,
  write: (events: readonly StreamEvent[]) => Promise<void>,
): Promise<readonly StreamEvent[] | null> {
  const { switches, generation, journal, report, left } = call;
  for (let index = 0; index < generation.visibleTokens; index++) {
    if (index === switches.stall) await untilLeft(left);
    if (left.aborted) return null;
    if (index === switches.die) {
      await abort(call, index);
      return null;
    }
    if (index === switches.failAfter)
      return [stream.error('The server had an error while processing your request.')];
    if (switches.pauseMs > 0) await wait(switches.pauseMs, undefined, { signal: left });
    const usage = usageAfter(generation, index + 1);
    await write(stream.token(generation, index, switches.continuousUsage ? usage : null, report));
    journal.update(generation.id, {
      outputTokens: usage.outputTokens,
      deliveredTokens: (index + 1) * generation.choices,
    });
    // An endless stream without a pause would otherwise occupy the process.
    if (generation.visibleTokens === Number.POSITIVE_INFINITY) await wait(1);
  }
  return stream.closing(generation, report);
}

/** Destroys the connection, after a pause in which all written bytes leave the process. */
async function abort({ journal, generation, response }: Call, tokens: number): Promise<void> {
  await wait(abortDelayMs);
  journal.update(generation.id, { outcome: 'aborted', deliveredTokens: tokens * generation.choices });
  response.destroy();
}

function formatEvent({ name, data }: StreamEvent, crlf: boolean): string {
  const lines = [
    ...(name === null ? [] : [`event: ${name}`]),
    `data: ${typeof data === 'string' ? data : JSON.stringify(data)}`,
    '',
    '',
  ];
  return lines.join(crlf ? '\r\n' : '\n');
}

async function sendJson(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  value: object,
): Promise<void> {
  const body = beginBody(request, response, status, { 'content-type': 'application/json', ...headers });
  await endBody(response, body, JSON.stringify(value), null);
}
