import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram } from '../packages.ts';
import { onFreePort } from '../servers/on-free-port.ts';
import { startAlertmanagerServer, startPrometheusServer } from '../servers/prometheus.ts';
import type { RunningMonitor } from '../servers/prometheus.ts';
import { startNodeProcess } from './services.ts';

export interface MonitoringOptions {
  readonly localDir: string;
  /** An address in the generated configuration (`host:port`), and the address that replaces it in this run. */
  readonly addresses: ReadonlyMap<string, string>;
  /** The process that has ended and is started again; null at the first start. */
  readonly previous: RunningMonitor | null;
  readonly signal: AbortSignal;
}

/** Ports from the generated configuration. They are used if they are free. */
const preferredPorts = { prometheus: 9090, alertmanager: 9093, onCall: 9098 } as const;
const generated = join(import.meta.dirname, '..', '..', 'dashboards', 'generated');

/** The monitoring programs in the order of their start, with the consequence for this stack if one does not run. */
export const monitors = [
  { key: 'onCall', name: 'on-call', start: startOnCall, consequence: 'no notification is written' },
  {
    key: 'alertmanager',
    name: 'alertmanager',
    start: startAlertmanager,
    consequence: 'alerts are evaluated and not sent',
  },
  {
    key: 'prometheus',
    name: 'prometheus',
    start: startPrometheus,
    consequence: 'no metric is stored and no alert is evaluated',
  },
] as const;

/** Starts Prometheus with the generated rules. Returns null if Prometheus is not installed. */
async function startPrometheus(options: MonitoringOptions): Promise<RunningMonitor | null> {
  const command = findProgram('prometheus');
  if (command === null) return null;
  return startPrometheusServer({
    command,
    dir: join(options.localDir, 'prometheus'),
    config: await here('prometheus/prometheus.loopback.yml', options.addresses),
    files: { 'rules.yml': await here('prometheus/rules.yml', new Map()) },
    port: portOf(options.previous) ?? preferredPorts.prometheus,
    signal: options.signal,
  });
}

/**
 * Starts Alertmanager with the generated routes. Returns null if it is not installed. On Debian the program has
 * another name.
 */
async function startAlertmanager(options: MonitoringOptions): Promise<RunningMonitor | null> {
  const command = alertmanagerProgram();
  if (command === null) return null;
  return startAlertmanagerServer({
    command,
    dir: join(options.localDir, 'alertmanager'),
    config: await here('alertmanager/alertmanager.loopback.yml', options.addresses),
    port: portOf(options.previous) ?? preferredPorts.alertmanager,
    signal: options.signal,
  });
}

/** Starts the receiver of Alertmanager's notifications, which writes them to `log/on-call.log`. */
async function startOnCall({
  localDir,
  previous,
  signal,
}: MonitoringOptions): Promise<RunningMonitor | null> {
  if (alertmanagerProgram() === null) return null;
  return onFreePort(portOf(previous) ?? preferredPorts.onCall, async (port) => {
    const url = `http://127.0.0.1:${port}`;
    const server = await startNodeProcess({
      name: 'on-call',
      script: 'dev/sample/on-call.ts',
      env: { PORT: String(port) },
      readyUrl: url,
      ports: [port],
      localDir,
      signal,
    });
    return { ...server, url };
  });
}

/** After a restart, a monitor has the port that it had before: other processes are configured with it. */
function portOf(previous: RunningMonitor | null): number | null {
  return previous === null ? null : Number(new URL(previous.url).port);
}

/** Replaces the addresses in the generated configuration with the addresses of this run. */
export function monitorAddress(
  name: keyof typeof preferredPorts,
  { url }: { readonly url: string },
): [string, string] {
  const host = name === 'onCall' ? 'localhost' : '127.0.0.1';
  return [`${host}:${preferredPorts[name]}`, new URL(url).host];
}

function alertmanagerProgram(): string | null {
  return findProgram('alertmanager') ?? findProgram('prometheus-alertmanager');
}

async function here(path: string, addresses: ReadonlyMap<string, string>): Promise<string> {
  const text = await readFile(join(generated, path), 'utf8');
  return [...addresses].reduce((changed, [written, actual]) => changed.replaceAll(written, actual), text);
}
