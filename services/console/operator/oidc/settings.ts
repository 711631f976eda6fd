import { readFile } from 'node:fs/promises';
import { Type } from 'typebox';
import type { Static, TObject } from 'typebox';
import { isRole } from '../../../../shared/domain/operators/operator.ts';
import type { Role } from '../../../../shared/domain/operators/operator.ts';
import { TollgateError, messageOf } from '../../../../shared/runtime/errors.ts';

/** Environment variables of the sign-in of operators by an OpenID provider. */
export const oidcVariables = {
  TOLLGATE_OIDC_ISSUER: Type.String({
    default: '',
    pattern: '^(https://.+|http://(127\\.0\\.0\\.1|localhost|\\[::1\\])(:.*)?)?$',
    description:
      'Issuer of the OpenID provider at which operators sign in, e.g. `https://login.example.com/realms/staff`. Empty: none. ' +
      'Redirect URI at the provider: `TOLLGATE_CONSOLE_URL` and `/operator/oidc/callback`.',
  }),
  TOLLGATE_OIDC_CLIENT_ID: Type.String({ default: '', description: 'Client id at the OpenID provider.' }),
  TOLLGATE_OIDC_CLIENT_SECRET: Type.String({
    default: '',
    description: 'Client secret. Empty: the file, or a public client.',
  }),
  TOLLGATE_OIDC_CLIENT_SECRET_FILE: Type.String({
    default: '',
    description: 'Path of a file with the client secret.',
  }),
  TOLLGATE_OIDC_SCOPES: Type.String({
    default: 'openid email profile',
    pattern: '(^| )openid( |$)',
    description: 'Requested scopes, separated by spaces.',
  }),
  TOLLGATE_OIDC_ROLES_CLAIM: Type.String({
    default: 'groups',
    description:
      'Claim with the groups of an operator, a text or a list; dots lead into objects, e.g. `realm_access.roles`.',
  }),
  TOLLGATE_OIDC_ROLE_MAP: Type.String({
    default: '',
    description:
      'Role of each group: `GROUP=ROLE,GROUP=ROLE`. The highest role counts. A person without a listed group is refused.',
  }),
  TOLLGATE_OIDC_ALLOWED_DOMAINS: Type.String({
    default: '',
    description:
      'Domains of verified e-mail addresses that may sign in, comma-separated. Empty: all of the provider.',
  }),
  TOLLGATE_TOKEN_SIGN_IN: Type.Union([Type.Literal('on'), Type.Literal('off')], {
    default: 'on',
    description:
      '`off`: operators sign in to the console only by the OpenID provider. The admin API still accepts tokens.',
  }),
};

export interface OidcSettings {
  readonly issuer: URL;
  readonly clientId: string;
  /** Empty: a public client. */
  readonly clientSecret: string;
  readonly scopes: string;
  /** Names that lead to the claim with the groups. */
  readonly rolesClaim: readonly string[];
  readonly roleOfGroup: ReadonlyMap<string, Role>;
  /** Lower case; empty: all domains. */
  readonly allowedDomains: readonly string[];
}

/** Reads the settings; null if no issuer is set. Throws CONFIG_INVALID if they are not complete. */
export async function readOidcSettings(
  config: Static<TObject<typeof oidcVariables>>,
): Promise<OidcSettings | null> {
  if (config.TOLLGATE_OIDC_ISSUER === '') {
    if (config.TOLLGATE_TOKEN_SIGN_IN === 'off')
      throw invalid(
        'TOLLGATE_TOKEN_SIGN_IN=off needs TOLLGATE_OIDC_ISSUER: otherwise no operator can sign in',
      );
    return null;
  }
  if (config.TOLLGATE_OIDC_CLIENT_ID === '') throw invalid('TOLLGATE_OIDC_CLIENT_ID is not set');
  const roleOfGroup = readRoleMap(config.TOLLGATE_OIDC_ROLE_MAP);
  if (roleOfGroup.size === 0)
    throw invalid('TOLLGATE_OIDC_ROLE_MAP is empty, so every person would be refused: GROUP=ROLE,GROUP=ROLE');
  return {
    issuer: new URL(config.TOLLGATE_OIDC_ISSUER),
    clientId: config.TOLLGATE_OIDC_CLIENT_ID,
    clientSecret: await readSecret(config),
    scopes: config.TOLLGATE_OIDC_SCOPES,
    rolesClaim: config.TOLLGATE_OIDC_ROLES_CLAIM.split('.'),
    roleOfGroup,
    allowedDomains: listOf(config.TOLLGATE_OIDC_ALLOWED_DOMAINS.toLowerCase()),
  };
}

async function readSecret(config: Static<TObject<typeof oidcVariables>>): Promise<string> {
  const path = config.TOLLGATE_OIDC_CLIENT_SECRET_FILE;
  if (config.TOLLGATE_OIDC_CLIENT_SECRET !== '' || path === '') return config.TOLLGATE_OIDC_CLIENT_SECRET;
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (cause) {
    throw new TollgateError('CONFIG_INVALID', `TOLLGATE_OIDC_CLIENT_SECRET_FILE: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** The last `=` separates group and role, so the name of a group may contain `=`. It cannot contain a comma, which separates pairs. */
function readRoleMap(text: string): ReadonlyMap<string, Role> {
  return new Map(
    listOf(text).map((pair) => {
      const at = pair.lastIndexOf('=');
      const [group, role] = [pair.slice(0, Math.max(at, 0)).trim(), pair.slice(at + 1).trim()];
      if (group === '' || !isRole(role))
        throw invalid(`TOLLGATE_OIDC_ROLE_MAP: “${pair}” is not GROUP=viewer, GROUP=support or GROUP=admin`);
      return [group, role];
    }),
  );
}

function listOf(text: string): string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

function invalid(text: string): TollgateError {
  return new TollgateError('CONFIG_INVALID', text);
}
