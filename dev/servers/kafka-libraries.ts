import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { TollgateError, messageOf } from '../../shared/runtime/errors.ts';
import { needProgram } from '../packages.ts';
import type { Say } from '../packages.ts';

const run = promisify(execFile);
const folder = join(import.meta.dirname, 'kafka');

export const loggingConfig = join(folder, 'log4j2.properties');

/** Cluster id of every local broker. It only has to be the same in all files of a data directory. */
const clusterId = 'dG9sbGdhdGUtbG9jYWwtMQ';

/** Class path of the broker. Maven downloads the jars into the user's cache, once for each version. */
export async function kafkaClassPath(say: Say): Promise<string> {
  const home = await cacheFolder();
  const libraries = join(home, 'libs');
  if (!existsSync(libraries)) {
    const maven = await needProgram('mvn', say);
    say('downloading Kafka by Maven (43 MB)');
    await intoPlace(libraries, (draft) => copyDependencies(maven, draft));
  }
  return join(libraries, '*');
}

/** A formatted data directory. Each new broker copies it, which saves the start of a second JVM. */
export async function formattedLog(java: string, say: Say): Promise<string> {
  const home = await cacheFolder();
  const template = join(home, 'formatted');
  if (!existsSync(template)) {
    const classPath = await kafkaClassPath(say);
    await intoPlace(template, (draft) => format(java, classPath, draft));
  }
  return template;
}

/** Whether the jars of the broker are on this machine, so that Maven is not needed. */
export async function hasKafkaLibraries(): Promise<boolean> {
  return existsSync(join(await cacheFolder(), 'libs'));
}

async function cacheFolder(): Promise<string> {
  const version = /<artifactId>kafka_2\.13<\/artifactId>\s*<version>([^<]+)</.exec(
    await readFile(join(folder, 'pom.xml'), 'utf8'),
  )?.[1];
  if (version === undefined) throw new Error('dev/servers/kafka/pom.xml names no version of Kafka');
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return join(cache, 'tollgate', `kafka-${version}`);
}

/**
 * Creates a directory under a temporary name, then renames it. So an interrupted start leaves no incomplete directory
 * under the final name.
 */
async function intoPlace(target: string, make: (draft: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const draft = await mkdtemp(`${target}-draft-`);
  try {
    await make(draft);
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another start has created the same directory in the meantime.
    if (!existsSync(target)) throw error;
  }
}

async function copyDependencies(maven: string, draft: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), 'tollgate-kafka-pom-'));
  try {
    await cp(join(folder, 'pom.xml'), join(work, 'pom.xml'));
    await run(
      maven,
      [
        '-q',
        '-B',
        '-f',
        join(work, 'pom.xml'),
        'dependency:copy-dependencies',
        '-DincludeScope=runtime',
        `-DoutputDirectory=${draft}`,
      ],
      { timeout: 600_000 },
    );
  } catch (error) {
    throw new TollgateError('SERVER_MISSING', `Kafka could not be downloaded by Maven: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function format(java: string, classPath: string, draft: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), 'tollgate-kafka-format-'));
  try {
    const config = join(work, 'server.properties');
    const lines = [
      'process.roles=broker,controller',
      'node.id=1',
      'controller.quorum.voters=1@127.0.0.1:9093',
      'listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093',
      'controller.listener.names=CONTROLLER',
      `log.dirs=${draft}`,
    ];
    await writeFile(config, `${lines.join('\n')}\n`);
    await run(java, [
      `-Dlog4j2.configurationFile=${loggingConfig}`,
      '-cp',
      classPath,
      'kafka.tools.StorageTool',
      'format',
      '-t',
      clusterId,
      '-c',
      config,
    ]);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
