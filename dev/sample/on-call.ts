import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

/**
 * Receiver of Alertmanager's notifications under `npm start`. For each alert that fires or is resolved, it writes one
 * line with the alert's summary. It listens on `HOST` and `PORT`.
 */
interface Notification {
  readonly alerts: readonly {
    readonly status: string;
    readonly startsAt: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  }[];
}

const server = createServer((request, response) => {
  void text(request).then((body) => {
    if (request.method === 'POST') say(request.url ?? '/', body);
    response.end();
  });
});
server.listen(Number(process.env['PORT'] ?? 9098), process.env['HOST'] ?? '127.0.0.1');
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => process.exit(0));

function say(path: string, body: string): void {
  const { alerts } = JSON.parse(body) as Notification;
  for (const { status, startsAt, labels, annotations } of alerts) {
    const { alertname, severity } = labels;
    const { summary, runbook_url: runbook } = annotations;
    console.log(
      JSON.stringify({
        time: new Date().toISOString(),
        to: path.slice(1),
        status,
        alertname,
        severity,
        summary,
        since: startsAt,
        runbook,
      }),
    );
  }
}
