#!/usr/bin/env node
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { endWithParent } from '../../dev/servers/parent-process.ts';

/** `tollgate start`, `tollgate gateway` and so on start processes; all other commands are those of the operator CLI. */
const dist = join(import.meta.dirname, '../..');
const services: Readonly<Record<string, () => Promise<unknown>>> = {
  gateway: () => import('../../services/gateway/main.ts'),
  aggregator: () => import('../../services/aggregator/main.ts'),
  reconciler: () => import('../../services/reconciler/main.ts'),
  alerter: () => import('../../services/alerter/main.ts'),
  admin: () => import('../../services/admin/main.ts'),
  console: () => import('../../services/console/main.ts'),
};
const [name = '', ...args] = process.argv.slice(2);
const service = args.length === 0 ? services[name] : undefined;

if (name === 'start') startStack(args);
else if (service !== undefined) await service();
else {
  if (name === '' || name === '--help' || name === '-h') process.stdout.write(processesHelp());
  await import('../../services/cli/main.ts');
}

/** Runs all processes, with their data in `.local` of the working directory. */
function startStack(options: readonly string[]): void {
  const { TOLLGATE_POLICY: policy } = process.env;
  const child = spawn(process.execPath, [join(dist, 'dev/start.js'), ...options], {
    // The channel closes when this process ends in any way, and then the stack ends too.
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: {
      ...process.env,
      TOLLGATE_LOCAL_DIR: resolve('.local'),
      ...(policy === undefined ? {} : { TOLLGATE_POLICY: resolve(policy) }),
    },
  });
  // A terminal sends Ctrl-C to both processes; another process may signal this one only.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => void child.kill(signal));
  endWithParent(() => void child.kill('SIGTERM'));
  child.on('exit', (code) => process.exit(code ?? 1));
}

function processesHelp(): string {
  return [
    'Processes, each configured by its environment:',
    '',
    '  tollgate start [--no-traffic] [--no-history] [--fresh]  all processes on this machine, with their servers; data in .local',
    `  tollgate ${Object.keys(services).join(' | ')}`,
    '',
    'Commands of the operator:',
    '',
    '',
  ].join('\n');
}
