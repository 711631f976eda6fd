import { readFileSync } from 'node:fs';
import { Type } from 'typebox';
import { TollgateError, messageOf } from '../runtime/errors.ts';

/** TLS and authentication of connections to Kafka. A field is null if the connection does not use it. */
export interface KafkaSecurity {
  readonly tls: {
    /** CA certificates in PEM. If absent, the certificate authorities that Node trusts are used. */
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

export const topicPrefixDefault = 'tollgate.';

/** Environment variables of every process that uses Kafka. */
export const kafkaVariables = {
  KAFKA_BROKERS: Type.String({
    default: '127.0.0.1:9092',
    description: 'Brokers to connect to first, `host:port`, comma-separated.',
  }),
  KAFKA_SSL: Type.Boolean({ default: false, description: 'Connects with TLS.' }),
  KAFKA_SSL_CA: Type.String({
    default: '',
    description:
      'PEM file of the authority that signed the certificates of the brokers. Empty: public authorities.',
  }),
  KAFKA_SSL_CERT: Type.String({
    default: '',
    description: 'PEM file of the client certificate (mutual TLS).',
  }),
  KAFKA_SSL_KEY: Type.String({
    default: '',
    description: 'PEM file of the private key of that certificate.',
  }),
  KAFKA_SASL_MECHANISM: Type.String({
    enum: ['', ...saslMechanisms],
    default: '',
    description: `SASL mechanism: ${saslMechanisms.map((name) => `\`${name}\``).join(', ')}. Empty: no SASL.`,
  }),
  KAFKA_SASL_USERNAME: Type.String({ default: '', description: 'User name for SASL.' }),
  KAFKA_SASL_PASSWORD: Type.String({ default: '', description: 'Password for SASL.' }),
  TOLLGATE_TOPIC_PREFIX: Type.String({
    default: topicPrefixDefault,
    description:
      'First part of every topic and consumer group. Keeps several installations apart on one Kafka cluster.',
  }),
};

export type KafkaVariables = Readonly<
  Record<Exclude<keyof typeof kafkaVariables, 'KAFKA_SSL'>, string> & { KAFKA_SSL: boolean }
>;

/** Returns the variables as options of `createKafka`. Throws CONFIG_INVALID. */
export function kafkaCluster(config: KafkaVariables): { brokers: string; security: KafkaSecurity } {
  return { brokers: config.KAFKA_BROKERS, security: readSecurity(config) };
}

/**
 * Checks that the variables of TLS and SASL are consistent, and reads the files that they name. Throws CONFIG_INVALID
 * with every violation: with an incomplete configuration, a process would connect without encryption or not at all.
 */
function readSecurity(config: KafkaVariables): KafkaSecurity {
  const violations: string[] = [];
  const { KAFKA_SASL_USERNAME: username, KAFKA_SASL_PASSWORD: password } = config;
  const mechanism = saslMechanisms.find((name) => name === config.KAFKA_SASL_MECHANISM);
  if (mechanism === undefined && (username !== '' || password !== ''))
    violations.push('KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD need KAFKA_SASL_MECHANISM');
  if (mechanism !== undefined && (username === '' || password === ''))
    violations.push('KAFKA_SASL_MECHANISM needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD');
  const files = { ca: config.KAFKA_SSL_CA, cert: config.KAFKA_SSL_CERT, key: config.KAFKA_SSL_KEY };
  if (!config.KAFKA_SSL && Object.values(files).some((path) => path !== ''))
    violations.push('KAFKA_SSL_CA, KAFKA_SSL_CERT and KAFKA_SSL_KEY need KAFKA_SSL=true');
  if ((files.cert === '') !== (files.key === ''))
    violations.push('KAFKA_SSL_CERT and KAFKA_SSL_KEY need each other');
  const tls: Record<string, string> = {};
  for (const [name, path] of Object.entries(files)) {
    if (path === '') continue;
    try {
      tls[name] = readFileSync(path, 'utf8');
    } catch (error) {
      violations.push(`KAFKA_SSL_${name.toUpperCase()} cannot be read: ${messageOf(error)}`);
    }
  }
  if (violations.length > 0) {
    const text = violations.map((violation) => `  ${violation}`).join('\n');
    throw new TollgateError(
      'CONFIG_INVALID',
      `The variables of the connection to Kafka do not fit together:\n${text}`,
    );
  }
  return {
    tls: config.KAFKA_SSL ? tls : null,
    sasl: mechanism === undefined ? null : { mechanism, username, password },
  };
}
