/**
 * The direction of imports: domain <- runtime, policy <- tenants/record <- identity, redis, kafka, clickhouse <- tenants,
 * sessions <- services.
 * `dev`, `test` and `dashboards` stand above and may import anything; nothing below may import them.
 * Each comment says what to do about a finding.
 */

/** Nothing in `from` may import what matches `to`. */
const never = (name, from, to, comment) => ({ name, severity: 'error', comment, from, to });

module.exports = {
  forbidden: [
    never(
      'no-cycles',
      {},
      // Types may point back: they are gone when the code runs.
      { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
      'Move what both need into a third file that imports neither.',
    ),
    never(
      'domain-is-pure',
      { path: '^shared/domain/' },
      { pathNot: '^shared/domain/' },
      'The domain has no I/O and no dependencies: pass what it needs as an argument.',
    ),
    never(
      'runtime-knows-the-domain-only',
      { path: '^shared/runtime/' },
      { path: '^(shared|services|dashboards|dev|tools|test)/', pathNot: '^shared/(domain|runtime)/' },
      'shared/runtime carries every service: move what is special to one of them there.',
    ),
    never(
      'tenant-record-knows-domain-runtime-and-policy',
      { path: '^shared/tenants/record/' },
      {
        path: '^(shared|services|dashboards|dev|tools|test)/',
        pathNot: '^shared/(domain|runtime|policy|tenants/record)/',
      },
      'The contract of a record is read by the stores: move what needs a store one folder up.',
    ),
    never(
      'tenants-stand-on-the-stores',
      { path: '^shared/tenants/', pathNot: '^shared/tenants/record/' },
      {
        path: '^(shared|services|dashboards|dev|tools|test)/',
        pathNot: '^shared/(domain|runtime|policy|identity|redis|kafka|clickhouse|tenants)/',
      },
      'shared/tenants reads and changes tenants for every service: keep answers and pages in the services.',
    ),
    never(
      'sessions-stand-on-kafka',
      { path: '^shared/sessions/' },
      {
        path: '^(shared|services|dashboards|dev|tools|test)/',
        pathNot: '^shared/(domain|runtime|kafka|sessions)/',
      },
      'shared/sessions signs tokens and stores which have ended: cookies and pages belong to the console.',
    ),
    never(
      'policy-knows-domain-and-runtime',
      { path: '^shared/policy/' },
      { path: '^(shared|services|dashboards|dev|tools|test)/', pathNot: '^shared/(domain|runtime|policy)/' },
      'shared/policy reads a file and answers questions about it: let the caller fetch the rest.',
    ),
    never(
      'identity-knows-domain-runtime-and-policy',
      { path: '^shared/identity/' },
      {
        path: '^(shared|services|dashboards|dev|tools|test)/',
        pathNot: '^shared/(domain|runtime|policy|identity)/',
      },
      'shared/identity reads credentials: what it looks them up in is passed to it.',
    ),
    never(
      'jose-verifies-tenants-tokens-in-one-place',
      // Links and sessions are tokens of Tollgate's own, with keys of their own.
      { path: '^(services|shared)/', pathNot: '^(shared/identity/|shared/sessions/tokens.ts$)' },
      { path: '(^|/)node_modules/jose/' },
      'A token is read by shared/identity, so that it is the same caller everywhere.',
    ),
    never(
      'stores-do-not-know-each-other',
      { path: '^shared/(redis|kafka|clickhouse)/' },
      {
        path: '^(shared|services|dashboards|dev|tools|test)/',
        pathNot: '^shared/(domain|runtime|policy|tenants/record|$1)/',
      },
      'A service joins two stores; a store knows only what lies below it.',
    ),
    never(
      'services-do-not-know-each-other',
      { path: '^services/([^/]+)/' },
      { path: '^services/', pathNot: '^services/$1/' },
      'Services meet in Kafka, Redis and ClickHouse. Shared logic goes to shared/.',
    ),
    never(
      'portal-does-not-know-operator',
      { path: '^services/console/portal/' },
      { path: '^services/console/operator/' },
      'A tenant must not reach what operators see: move what both show to services/console/components.',
    ),
    never(
      'operator-does-not-know-portal',
      { path: '^services/console/operator/' },
      { path: '^services/console/portal/' },
      'Move what both show to services/console/components.',
    ),
    never(
      'components-know-no-page',
      { path: '^services/console/(components|sessions)/' },
      { path: '^services/console/(portal|operator)/' },
      'Components and sessions serve both consoles: pass them what they need.',
    ),
    never(
      'services-stand-on-shared-only',
      { path: '^(services|shared)/' },
      { path: '^(dashboards|dev|tools|test)/' },
      'What ships may not need what only builds, tests or starts it.',
    ),
    never(
      'kafkajs-in-one-folder',
      // A benchmark measures itself against the bare library.
      { pathNot: '^(shared/kafka/kafkajs|test/bench)/' },
      { path: '(^|/)node_modules/kafkajs/' },
      'kafkajs loses events in ways that only shared/kafka prevents: use its exports.',
    ),
    never(
      'what-ships-uses-dependencies',
      { path: '^(services|shared)/' },
      { dependencyTypes: ['npm-dev'] },
      'Move the package from devDependencies to dependencies, or do without it.',
    ),
    never(
      'resolvable',
      // A browser's script imports what the console serves.
      { path: '^(services|shared|dashboards|dev|tools|test)/', pathNot: '^services/console/assets/' },
      { couldNotResolve: true },
      'The import points nowhere: correct its path, or add the package to package.json.',
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: 'dashboards/generated' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
