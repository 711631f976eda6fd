import { secretVariable } from '../runtime/config.ts';
import { secretLengthMax } from './admin-token.ts';

/** Environment variables of the processes that sign or read portal links and sessions. */
export const sessionVariables = {
  TOLLGATE_ADMIN_TOKEN: secretVariable(
    'Token that opens the admin API and the operator console.',
    secretLengthMax,
  ),
  TOLLGATE_PORTAL_SECRET: secretVariable('Signs portal links and sessions.'),
};
