/**
 * Calls `end` when the process that started this one is gone. A parent may end without a signal to its children: npm and npx send
 * SIGTERM to their shell only, and SIGKILL reaches one process. Processes that were started otherwise, for example by a
 * terminal or in the background of a shell, may outlive their parent.
 */
export function endWithParent(end: () => void): void {
  // The command `tollgate start` is connected to the process that it starts.
  if (process.connected) process.once('disconnect', end);
  if (process.env['npm_lifecycle_event'] === undefined) return;
  const parent = process.ppid;
  const check = (): void => {
    if (process.ppid !== parent) end();
  };
  setInterval(check, checkIntervalMs).unref();
}

const checkIntervalMs = 500;
