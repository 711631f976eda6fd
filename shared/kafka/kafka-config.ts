import { readFileSync } from 'node:fs';
import { Type } from 'typebox';
import { TollgateError, messageOf } from '../runtime/errors.ts';

/** How to be let in: TLS where `tls` is not null, a name and a password where `sasl` is not. */
export interface KafkaSecurity {
  readonly tls: {
    /** PEM; absent: the authorities that Node knows. */
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
  } | null;
  readonly sasl: {
    readonly mechanism: SaslMechanism;
    readonly username: string;
    readonly password: string;
  } | null;
}

const saslMechanisms = ['plain', 'scram-sha-256', 'scram-sha-512'] as const;
type SaslMechanism = (typeof saslMechanisms)[number];

/** The variables that say where Kafka is and how to be let in: the same for every service. */
export const kafkaVariables = {
  KAFKA_BROKERS: Type.String({ default: '127.0.0.1:9092' }),
  KAFKA_SSL: Type.Boolean({ default: false }),
  /** Files in PEM: who signed the brokers' certificates, and what this client shows for itself. */
  KAFKA_SSL_CA: Type.String({ default: '' }),
  KAFKA_SSL_CERT: Type.String({ default: '' }),
  KAFKA_SSL_KEY: Type.String({ default: '' }),
  KAFKA_SASL_MECHANISM: Type.String({ enum: ['', ...saslMechanisms], default: '' }),
  KAFKA_SASL_USERNAME: Type.String({ default: '' }),
  KAFKA_SASL_PASSWORD: Type.String({ default: '' }),
};

export type KafkaVariables = Readonly<
  Record<Exclude<keyof typeof kafkaVariables, 'KAFKA_SSL'>, string> & { KAFKA_SSL: boolean }
>;

/**
 * Reads the variables together, and the files they name. Throws CONFIG_INVALID, with every mistake, where they do not
 * fit one another: half a configuration would connect in the clear or not at all.
 */
export function readKafkaSecurity(config: KafkaVariables): KafkaSecurity {
  const mistakes: string[] = [];
  const { KAFKA_SASL_USERNAME: username, KAFKA_SASL_PASSWORD: password } = config;
  const mechanism = saslMechanisms.find((known) => known === config.KAFKA_SASL_MECHANISM);
  if (mechanism === undefined && (username !== '' || password !== ''))
    mistakes.push('KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD need KAFKA_SASL_MECHANISM');
  if (mechanism !== undefined && (username === '' || password === ''))
    mistakes.push('KAFKA_SASL_MECHANISM needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD');
  const files = { ca: config.KAFKA_SSL_CA, cert: config.KAFKA_SSL_CERT, key: config.KAFKA_SSL_KEY };
  if (!config.KAFKA_SSL && Object.values(files).some((path) => path !== ''))
    mistakes.push('KAFKA_SSL_CA, KAFKA_SSL_CERT and KAFKA_SSL_KEY need KAFKA_SSL=true');
  if ((files.cert === '') !== (files.key === ''))
    mistakes.push('KAFKA_SSL_CERT and KAFKA_SSL_KEY are given together or not at all');
  const tls: Record<string, string> = {};
  for (const [name, path] of Object.entries(files)) {
    if (path === '') continue;
    try {
      tls[name] = readFileSync(path, 'utf8');
    } catch (error) {
      mistakes.push(`KAFKA_SSL_${name.toUpperCase()} cannot be read: ${messageOf(error)}`);
    }
  }
  if (mistakes.length > 0) {
    const text = mistakes.map((mistake) => `  ${mistake}`).join('\n');
    throw new TollgateError('CONFIG_INVALID', `The way to Kafka is not clear:\n${text}`);
  }
  return {
    tls: config.KAFKA_SSL ? tls : null,
    sasl: mechanism === undefined ? null : { mechanism, username, password },
  };
}
