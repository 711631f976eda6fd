/**
 * Allowed directions of imports: domain <- runtime, policy <- tenants/record <- identity, redis, kafka, clickhouse <-
 * tenants, sessions, backtest <- policy-changes <- services. `dev`, `test` and `dashboards` may import from all folders, and no other folder may
 * import from them. The comment of each rule says what to do about a violation.
 */

/** A rule: files that match `from` must not import files that match `to`. */
const never = (name, from, to, comment) => ({ name, severity: 'error', comment, from, to });

module.exports = {
  forbidden: [
    never(
      'no-cycles',
      {},
      { circular: true },
      'Move the shared declarations into a third file that imports neither. Imports of types count.',
    ),
    never(
      'domain-is-pure',
      { path: '^shared/domain/' },
      { pathNot: '^shared/domain/' },
      'The domain has no I/O and no dependencies: pass data as an argument.',
    ),
    never(
      'runtime-imports-the-domain-only',
      { path: '^shared/runtime/' },
      { path: '^(shared|services|dashboards|dev|tools|test)/', pathNot: '^shared/(domain|runtime)/' },
      'Every service uses shared/runtime: move code of one service to that service.',
    ),
    never(
      'tenant-record-imports-domain-runtime-and-policy',
      { path: '^shared/tenants/record/' },
      {
        path: '^(shared|services|dashboards|dev|tools|test)/',
        pathNot: '^shared/(domain|runtime|policy|tenants/record)/',
      },
      'The contract of a record is read by the stores: move what needs a store one folder up.',
    ),
    never(
      'tenants-import-the-stores',
      { path: '^shared/tenants/', pathNot: '^shared/tenants/record/' },
      {
        path: '^(shared|services|dashboards|dev|tools|test)/',
        pathNot: '^shared/(domain|runtime|policy|identity|redis|kafka|clickhouse|tenants)/',
      },
      'shared/tenants reads and changes tenants for every service: keep answers and pages in the services.',
    ),
    never(
      'admin-answers-import-the-contract-of-records',
      { path: '^shared/admin-answers/' },
      {
        path: '^(shared|services|dashboards|dev|tools|test)/',
        pathNot: '^shared/(domain|runtime|policy|tenants/record|admin-answers)/',
      },
      'shared/admin-answers has the answers of the admin API for its document and for the CLI: schemas only.',
    ),
    never(
      'sessions-import-kafka-only',
      { path: '^shared/sessions/' },
      {
        path: '^(shared|services|dashboards|dev|tools|test)/',
        pathNot: '^shared/(domain|runtime|kafka|sessions)/',
      },
      'shared/sessions signs tokens and stores which have ended: cookies and pages belong to the console.',
    ),
    never(
      'backtest-imports-the-stores',
      { path: '^shared/backtest/' },
      {
        path: '^(shared|services|dashboards|dev|tools|test)/',
        pathNot: '^shared/(domain|runtime|policy|redis|clickhouse|backtest)/',
      },
      'shared/backtest decides recorded events again: callers pass it policies, records and ClickHouse.',
    ),
    never(
      'policy-changes-import-backtest-and-the-stores',
      { path: '^shared/policy-changes/' },
      {
        path: '^(shared|services|dashboards|dev|tools|test)/',
        pathNot: '^shared/(domain|runtime|policy|kafka|clickhouse|backtest|tenants|policy-changes)/',
      },
      'shared/policy-changes serves the admin API and the console: keep answers and pages in the services.',
    ),
    never(
      'policy-imports-domain-and-runtime',
      { path: '^shared/policy/' },
      { path: '^(shared|services|dashboards|dev|tools|test)/', pathNot: '^shared/(domain|runtime|policy)/' },
      'shared/policy reads the policy file: the caller passes everything else as an argument.',
    ),
    never(
      'identity-imports-domain-runtime-and-policy',
      { path: '^shared/identity/' },
      {
        path: '^(shared|services|dashboards|dev|tools|test)/',
        pathNot: '^shared/(domain|runtime|policy|identity)/',
      },
      'shared/identity reads credentials: the tables for it are arguments.',
    ),
    never(
      'jose-verifies-tenants-tokens-in-one-place',
      // Tokens of portal links and sessions are issued by Tollgate and signed with its own keys, so this file also
      // imports jose.
      { path: '^(services|shared)/', pathNot: '^(shared/identity/|shared/sessions/tokens.ts$)' },
      { path: '(^|/)node_modules/jose/' },
      'Tokens are read by shared/identity, so that every service finds the same caller.',
    ),
    never(
      'stores-do-not-import-each-other',
      { path: '^shared/(redis|kafka|clickhouse)/' },
      {
        path: '^(shared|services|dashboards|dev|tools|test)/',
        pathNot: '^shared/(domain|runtime|policy|tenants/record|$1)/',
      },
      'Only a service or shared/tenants combines two stores.',
    ),
    never(
      'services-do-not-import-each-other',
      { path: '^services/([^/]+)/' },
      { path: '^services/', pathNot: '^services/$1/' },
      'Services meet in Kafka, Redis and ClickHouse. Shared logic goes to shared/.',
    ),
    never(
      'portal-does-not-import-operator',
      { path: '^services/console/portal/' },
      { path: '^services/console/operator/' },
      'A tenant must not reach what operators see: move what both show to services/console/components.',
    ),
    never(
      'operator-does-not-import-portal',
      { path: '^services/console/operator/' },
      { path: '^services/console/portal/' },
      'Move what both show to services/console/components.',
    ),
    never(
      'components-import-no-page',
      { path: '^services/console/(components|sessions)/' },
      { path: '^services/console/(portal|operator)/' },
      'Components and sessions serve both consoles: pass them what they need.',
    ),
    never(
      'services-import-shared-only',
      { path: '^(services|shared)/' },
      { path: '^(dashboards|dev|tools|test)/' },
      'Shipped code must not need code that only builds, tests or starts it.',
    ),
    never(
      'packages-are-entries-only',
      { path: '^(services|shared|dashboards|dev|tools)/' },
      { path: '^packages/' },
      'A package is the entry of an application: shared code belongs to services/ or shared/.',
    ),
    never(
      'client-has-no-dependencies',
      { path: '^packages/client/' },
      { path: '.', pathNot: '^packages/client/', dependencyTypesNot: ['core'] },
      'The client also runs in browsers and has no dependencies.',
    ),
    never(
      'kafkajs-in-one-folder',
      // A benchmark compares Tollgate with the bare library.
      { pathNot: '^(shared/kafka/kafkajs|test/bench)/' },
      { path: '(^|/)node_modules/kafkajs/' },
      'kafkajs loses events in ways that only shared/kafka prevents: use its exports.',
    ),
    never(
      'what-ships-uses-dependencies',
      { path: '^(packages|services|shared)/' },
      { dependencyTypes: ['npm-dev'] },
      'Move the package from devDependencies to dependencies, or do without it.',
    ),
    never(
      'resolvable',
      // Scripts that run in a browser import files that the console serves.
      {
        path: '^(packages|services|shared|dashboards|dev|tools|test)/',
        pathNot: '^services/console/assets/',
      },
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
