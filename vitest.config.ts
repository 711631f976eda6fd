import { defineConfig } from 'vitest/config';

/**
 * Projects differ in the resources that they use. `unit` uses none; the others use the real servers of
 * `test/support/servers.ts`.
 */
const withServers = {
  globalSetup: ['./test/support/global-setup.ts'],
  // These bounds end only tests that hang: on a slow and loaded machine a test takes many times as long as on an idle one, and a hook
  // may install or compile programs.
  testTimeout: 240_000,
  hookTimeout: 600_000,
  expect: { poll: { timeout: 30_000 } },
};

/** Fault tests without bounds of time: they mostly wait, so they run beside other tests, which slow each other down. */
const untimedFaults = [
  'test/faults/{aggregator,alerter,budgets,whole-path}/**/*.test.ts',
  'test/faults/kafka/{cluster,gateway-kill}.test.ts',
];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/tidy/**/*.test.ts'],
          testTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', ...untimedFaults],
          ...withServers,
        },
      },
      {
        test: {
          name: 'clients',
          include: ['test/clients/**/*.test.ts'],
          ...withServers,
        },
      },
      {
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          ...withServers,
        },
      },
      {
        // Starts the previous version from the git history, so it needs a clone with the history.
        test: {
          name: 'upgrade',
          include: ['test/upgrade/**/*.test.ts'],
          ...withServers,
        },
      },
      { test: { name: 'hostile', include: ['test/hostile/**/*.test.ts'], ...withServers } },
      { test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], ...withServers } },
      {
        test: {
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          exclude: untimedFaults,
          ...withServers,
          fileParallelism: false,
        },
      },
      {
        test: { name: 'bench', include: ['test/bench/**/*.test.ts'], ...withServers, fileParallelism: false },
      },
    ],
    maxWorkers: 2,
  },
});
