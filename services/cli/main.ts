#!/usr/bin/env node
import { userInfo } from 'node:os';
import packageFile from '../../package.json' with { type: 'json' };
import { readConfig } from '../../shared/runtime/config.ts';
import { runCli } from './cli.ts';
import { clickHouseEnvironment, environment, kafkaEnvironment } from './environment.ts';
import { findInstallation } from './installation.ts';

const config = readConfig(environment, process.env);

// The reader of the output has ended, for example `head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

process.exitCode = await runCli({
  args: process.argv.slice(2),
  installation: () =>
    findInstallation({
      adminUrl: config.TOLLGATE_ADMIN_URL,
      adminToken: config.TOLLGATE_ADMIN_TOKEN,
      folder: process.cwd(),
    }),
  kafka: () => readConfig(kafkaEnvironment, process.env),
  clickhouse: () => readConfig(clickHouseEnvironment, process.env),
  actor: config.TOLLGATE_ACTOR ?? userInfo().username,
  nowMs: Date.now(),
  version: packageFile.version,
  out: (text) => void process.stdout.write(`${text}\n`),
  err: (text) => void process.stderr.write(`${text}\n`),
});
