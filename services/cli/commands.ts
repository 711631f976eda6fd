import { auditCommands } from './audit-commands.ts';
import type { Command } from './command.ts';
import { deadLetterCommands } from './dead-letter-commands.ts';
import { policyCommands } from './policy-commands.ts';
import { settingsCommand } from './settings-command.ts';
import { portalCommands } from './portal-commands.ts';
import { tenantCommands } from './tenant-commands.ts';
import { tenantControls } from './tenant-controls.ts';
import { topicsCommand } from './topics-command.ts';

export const commands: readonly Command[] = [
  ...policyCommands,
  ...tenantCommands,
  settingsCommand,
  ...tenantControls,
  ...portalCommands,
  ...deadLetterCommands,
  ...auditCommands,
  topicsCommand,
];
