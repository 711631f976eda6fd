// The gateway in its own process, started with --expose-gc: it sends its memory to its parent on each message.
import '../../../services/gateway/main.ts';

process.on('message', () => {
  for (let run = 0; run < 3; run += 1) globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  process.send?.({ usedBytes: heapUsed + external, rssBytes: rss });
});
