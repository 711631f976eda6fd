import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const accessFiles = ['analysts.sql', 'dashboards.sql', 'tenants.sql'] as const;

const folder = join(import.meta.dirname, '../../../shared/clickhouse/access');

/** The statements of an access file, without comments. */
export function statementsOf(file: (typeof accessFiles)[number]): string[] {
  return readFileSync(join(folder, file), 'utf8')
    .replace(/^--.*$/gm, '')
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
}

/**
 * Converts the grants and row policies of the access files to a users file, because the embedded engine reads them
 * only from such a file. Grants and conditions are copied unchanged, except that `currentUser()` is replaced by the
 * user's name: in this engine it always returns `default`, the user of the session.
 */
export function usersFile(users: Readonly<Record<string, string>>): string {
  const statements = accessFiles.flatMap(statementsOf);
  const roles = statements.flatMap((one) => /^CREATE ROLE IF NOT EXISTS (\w+)$/.exec(one)?.[1] ?? []);
  const rolesXml = roles.map((role) => `<${role}>${grantsXml(grantsTo(statements, role))}</${role}>`);
  const usersXml = Object.entries(users).map(
    ([user, role]) =>
      `<${user}><no_password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>` +
      `${grantsXml([`GRANT ${role}`])}<databases><tollgate>${filtersXml(statements, user, role)}</tollgate></databases></${user}>`,
  );
  return `<clickhouse><profiles><default/></profiles><quotas><default/></quotas><roles>${rolesXml.join('')}</roles>
<users><default><password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
<access_management>1</access_management></default>${usersXml.join('')}</users></clickhouse>`;
}

function grantsTo(statements: readonly string[], role: string): string[] {
  return statements.flatMap((one) => {
    const found = /^(GRANT [\s\S]+?)\s+TO (\w+)$/.exec(one);
    return found?.[2] === role ? [found[1] ?? ''] : [];
  });
}

function grantsXml(grants: readonly string[]): string {
  return `<grants>${grants.map((grant) => `<query>${grant}</query>`).join('')}</grants>`;
}

function filtersXml(statements: readonly string[], user: string, role: string): string {
  return statements
    .flatMap((one) => {
      const found =
        /^CREATE ROW POLICY IF NOT EXISTS \w+ ON tollgate\.(\w+)\s+USING ([\s\S]+?) TO (\w+)$/.exec(one);
      if (found?.[3] !== role) return [];
      const condition = (found[2] ?? '').replaceAll('currentUser()', `'${user}'`);
      return [`<${found[1] ?? ''}><filter>${condition}</filter></${found[1] ?? ''}>`];
    })
    .join('');
}
