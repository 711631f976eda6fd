import { Type } from 'typebox';

/** Environment variables of all processes that load the policy. */
export const policyVariables = {
  TOLLGATE_POLICY: Type.String({
    default: 'policies/default.yaml',
    description: 'Path of the policy file. Changes take effect without a restart.',
  }),
  TOLLGATE_UPSTREAM: Type.Optional(
    Type.String({ description: 'URL of the API to protect. Absent: `upstream` of the policy.' }),
  ),
};

export const policyEditVariables = {
  TOLLGATE_POLICY_WRITABLE: Type.Boolean({
    default: false,
    description:
      'Allows operators to put a policy live from the console and the admin API, which write the policy file. The file and its folder must be writable.',
  }),
};
