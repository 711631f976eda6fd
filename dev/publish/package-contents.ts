/** What a package contains besides its manifest and README. Paths are relative to the repository. */
export interface PackageContents {
  /** TypeScript files that are compiled with all that they import, as patterns. */
  readonly entries: readonly string[];
  /** Files that the code reads at run time, as patterns. */
  readonly assets: readonly string[];
}

const scripts = 'shared/redis/scripts/*.lua';

/** By folder of `packages/`. */
export const packageContents: Readonly<Record<string, PackageContents>> = {
  fastify: { entries: ['packages/fastify/plugin.ts'], assets: [scripts] },
  client: { entries: ['packages/client/client.ts', 'packages/client/publisher.ts'], assets: [] },
  tollgate: {
    entries: [
      'packages/tollgate/command.ts',
      'dev/start.ts',
      'dev/sample/{upstream,traffic,on-call}.ts',
      'dev/stack/compile-cache/warm-compile-cache.ts',
      'tools/clickhouse-local/{main,stream-worker}.ts',
    ],
    assets: [
      scripts,
      'docker-compose.yml',
      'dashboards/generated/{prometheus,alertmanager}/*',
      'dev/servers/kafka/*',
      'policies/*',
      'services/console/assets/**/*.*',
      'services/gateway/entrypoints/envoy/*.proto',
      'shared/clickhouse/migrations/*.sql',
    ],
  },
  express: { entries: ['packages/express/middleware.ts'], assets: [scripts] },
};
