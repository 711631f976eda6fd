/**
 * A flood by one tenant, as a separate process. It publishes 5,000 events a second in batches and queries a meter with
 * every batch, whatever the responses are, until its standard input ends. Then it prints the number of refused calls.
 * Arguments: URL of the api listener, token.
 */
const [apiUrl = '', token = ''] = process.argv.slice(2);
const authorization = `Bearer ${token}`;
const event = { specversion: '1.0', source: 'test', type: 'work.done', data: { note: 'x'.repeat(200) } };
const body = JSON.stringify(Array.from({ length: 1_000 }, (_, n) => ({ ...event, id: String(n) })));
const publish = {
  method: 'POST',
  headers: { authorization, 'content-type': 'application/cloudevents-batch+json' },
  body,
};
const intervalMs = 200;
let refused = 0;
const pending = new Set<Promise<void>>();
const timer = setInterval(() => {
  for (const call of [
    send('/v1/events', publish),
    send('/v1/meters/tokens/query', { headers: { authorization } }),
  ]) {
    pending.add(call);
    void call.finally(() => pending.delete(call));
  }
}, intervalMs);

process.stdin.once('end', () => {
  clearInterval(timer);
  void Promise.all(pending).then(() => process.stdout.write(`${refused}\n`));
});
process.stdin.resume();

async function send(path: string, init: RequestInit): Promise<void> {
  const response = await fetch(apiUrl + path, init);
  await response.arrayBuffer();
  if (response.status === 429) refused += 1;
}
