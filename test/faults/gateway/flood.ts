/**
 * A flood by one tenant, as a process: publishes 5,000 events a second and queries a meter as often as it publishes,
 * whatever the answers, until its input ends; then says how many of its calls were refused. Arguments: address of the api
 * listener, token.
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
const underWay = new Set<Promise<void>>();
const timer = setInterval(() => {
  for (const call of [
    ask('/v1/events', publish),
    ask('/v1/meters/tokens/query', { headers: { authorization } }),
  ]) {
    underWay.add(call);
    void call.finally(() => underWay.delete(call));
  }
}, intervalMs);

process.stdin.once('end', () => {
  clearInterval(timer);
  void Promise.all(underWay).then(() => process.stdout.write(`${refused}\n`));
});
process.stdin.resume();

async function ask(path: string, init: RequestInit): Promise<void> {
  const response = await fetch(apiUrl + path, init);
  await response.arrayBuffer();
  if (response.status === 429) refused += 1;
}
