import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { StreamAnswer, StreamCommand, StreamRequest } from './stream-worker.ts';

export interface Streams {
  open(request: StreamRequest): AsyncGenerator<Buffer, void>;
}

interface Thread {
  readonly worker: Worker;
  readonly waiting: Map<number, (answer: StreamAnswer) => void>;
  streams: number;
}

/**
 * Maximum number of worker threads. If there are more streams, they share the threads: a stream occupies its thread only
 * while the engine analyses the query.
 */
const threadsMax = 4;

/** Opens streamed results on worker threads. A thread is started when the first stream needs it and is then kept. */
export function createStreams(dir: string): Streams {
  const threads: Thread[] = [];
  let lastId = 0;
  return { open };

  async function* open(request: StreamRequest): AsyncGenerator<Buffer, void> {
    const thread = leastBusy();
    const id = ++lastId;
    let ended = false;
    thread.streams++;
    try {
      let answer = await send(thread, { id, do: 'start', request });
      while ('block' in answer) {
        const { buffer, byteOffset, byteLength } = answer.block;
        yield Buffer.from(buffer, byteOffset, byteLength);
        answer = await send(thread, { id, do: 'next' });
      }
      ended = true;
      if (answer.error !== undefined) throw new Error(answer.error);
    } finally {
      thread.streams--;
      // The reader stopped before the end of the stream.
      if (!ended) thread.worker.postMessage({ id, do: 'cancel' } satisfies StreamCommand);
    }
  }

  function leastBusy(): Thread {
    const idle = threads.find((thread) => thread.streams === 0);
    if (idle !== undefined) return idle;
    if (threads.length < threadsMax) {
      const thread = startThread(dir);
      threads.push(thread);
      return thread;
    }
    return threads.reduce((least, thread) => (thread.streams < least.streams ? thread : least));
  }
}

function startThread(dir: string): Thread {
  const worker = new Worker(join(import.meta.dirname, 'stream-worker.ts'), { workerData: { dir } });
  const waiting = new Map<number, (answer: StreamAnswer) => void>();
  worker.on('message', (answer: StreamAnswer) => {
    const resolve = waiting.get(answer.id);
    waiting.delete(answer.id);
    resolve?.(answer);
  });
  return { worker, waiting, streams: 0 };
}

function send(thread: Thread, command: StreamCommand): Promise<StreamAnswer> {
  return new Promise((resolve) => {
    thread.waiting.set(command.id, resolve);
    thread.worker.postMessage(command);
  });
}
