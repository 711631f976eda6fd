#!/usr/bin/env node
import { userInfo } from 'node:os';
import { findInstallation } from './installation.ts';
import { runCli } from './cli.ts';

/** Exit codes: 0 done, 1 refused or failed, 2 not understood. */
process.exitCode = await runCli({
  args: process.argv.slice(2),
  installation: () =>
    findInstallation({
      adminUrl: process.env['TOLLGATE_ADMIN_URL'],
      adminToken: process.env['TOLLGATE_ADMIN_TOKEN'],
      folder: process.cwd(),
    }),
  actor: process.env['TOLLGATE_ACTOR'] ?? userInfo().username,
  nowMs: Date.now(),
  out: (text) => void process.stdout.write(`${text}\n`),
  err: (text) => void process.stderr.write(`${text}\n`),
});
