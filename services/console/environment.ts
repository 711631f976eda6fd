import { Type } from 'typebox';
import { clickHouseVariables } from '../../shared/clickhouse/environment.ts';
import { kafkaVariables } from '../../shared/kafka/environment.ts';
import { policyEditVariables, policyVariables } from '../../shared/policy/environment.ts';
import { redisVariables } from '../../shared/redis/environment.ts';
import { opsPortVariable, portVariable, serviceVariables } from '../../shared/runtime/config.ts';
import { providerVariables } from '../../shared/runtime/provider.ts';
import { tracingVariables } from '../../shared/runtime/tracing/environment.ts';
import { sessionVariables } from '../../shared/sessions/secrets.ts';
import { oidcVariables } from './operator/oidc/settings.ts';

/** Environment variables of the console. */
export const environment = Type.Object({
  ...serviceVariables,
  CONSOLE_PORT: portVariable(8083, 'Port of the portal and of the operator console.'),
  OPS_PORT: opsPortVariable(8094),
  ...redisVariables,
  ...kafkaVariables,
  ...clickHouseVariables,
  ...policyVariables,
  ...policyEditVariables,
  ...sessionVariables,
  ...tracingVariables,
  ...oidcVariables,
  TOLLGATE_CONSOLE_URL: Type.String({
    default: '',
    description:
      'Address at which browsers reach the console: portal links begin with it, and cookies are `Secure` when it is ' +
      '`https:`. Empty: the address that the listener binds.',
  }),
  ...providerVariables,
  TOLLGATE_BRAND_LOGO: Type.String({
    default: '',
    description:
      'Path of the provider’s logo: an SVG, PNG or WebP file of at most 256 KiB. Empty: Tollgate’s mark.',
  }),
  TOLLGATE_BRAND_COLOUR: Type.String({
    default: '',
    pattern: '^(#[0-9A-Fa-f]{6})?$',
    description:
      'Colour of links and buttons, `#rrggbb`. It is darkened or lightened where text in it could not be read. ' +
      'Empty: the default colours.',
  }),
});
