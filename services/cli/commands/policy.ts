import { loadPolicy } from '../../../shared/policy/load.ts';
import type { Command } from '../command.ts';
import { operand } from '../command.ts';

export const policyCommands: readonly Command[] = [
  {
    name: 'policy check',
    synopsis: 'FILE',
    summary: 'Check a policy file; every violation is named with its line and field.',
    operands: [1, 1],
    example: 'policy check policies/default.yaml',
    async run(invocation) {
      const path = operand(invocation, 0);
      const policy = await loadPolicy(path, {}, { secrets: 'optional' });
      const data = {
        valid: true,
        revision: policy.revision,
        plans: [...policy.plans.keys()],
        routes: policy.routes.map((route) => route.match),
        mode: policy.mode,
      };
      return {
        data,
        text: `${path} is valid: plans ${data.plans.join(', ')}; ${data.routes.length} routes; mode ${data.mode}; revision ${data.revision}.`,
      };
    },
  },
];
