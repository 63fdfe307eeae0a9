// What brokers and their client answer, in words that say what to do. By the names of errors, so that no client is needed.

import { BizonError, type ErrorCode, messageOf, systemCode } from '../../lib/errors.ts'

/** What is known where something failed. */
export interface Place {
  /** Of the errors. */
  readonly code: ErrorCode
  readonly brokers: readonly string[]
  readonly user?: string | undefined
  readonly mechanism?: string | undefined
  readonly topic?: string | undefined
  readonly group?: string | undefined
  readonly transactionalId?: string | undefined
}

/** Offsets that a partition has no longer, or not yet. */
export class OffsetsGone extends BizonError {
  readonly topic: string
  readonly partition: number
  /** Was asked for. */
  readonly offset: number
  /** The first and the one after the last that are there. */
  readonly low: number
  readonly high: number

  constructor(
    code: ErrorCode,
    { topic, partition, offset, low, high }: Pick<OffsetsGone, 'topic' | 'partition' | 'offset' | 'low' | 'high'>,
  ) {
    const reason =
      offset < low
        ? `${low - offset} messages were deleted before they were read`
        : `there are only ${high}: the topic was made anew, or has lost its end`
    super(
      code,
      `offset ${offset} of ${topic}, partition ${partition}, is gone: it goes from ${low} to ${high}; ${reason}`,
      {
        hint: 'Start over with a full refresh, or say by auto_offset_reset where to go on.',
      },
    )
    Object.assign(this, { topic, partition, offset, low, high })
    this.topic = topic
    this.partition = partition
    this.offset = offset
    this.low = low
    this.high = high
  }
}

/** The name by which the protocol calls the error: `UNKNOWN_TOPIC_OR_PARTITION`; undefined when it is not a broker's. */
export function protocolType(error: unknown): string | undefined {
  const found = causesOf(error).find((each) => typeof (each as { type?: unknown }).type === 'string')
  return found && (found as unknown as { type: string }).type
}

/** Whether the same may succeed a moment later. */
export function isPassing(error: unknown): boolean {
  if (error instanceof BizonError) return error.retriable
  const type = protocolType(error)
  if (type !== undefined) return PASSING.has(type)
  return causesOf(error).some(
    ({ name, message }) =>
      /^KafkaJS(?:Connection|ConnectionClosed|RequestTimeout|BrokerNotFound|NoBrokerAvailable|LockTimeout|MetadataNotLoaded|TopicMetadataNotLoaded|GroupCoordinatorNotFound)/.test(
        name,
      ) && !CERTIFICATE.test(message),
  )
}

const PASSING = new Set([
  'CORRUPT_MESSAGE',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'REQUEST_TIMED_OUT',
  'BROKER_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'NETWORK_EXCEPTION',
  'GROUP_LOAD_IN_PROGRESS',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'NOT_CONTROLLER',
  'CONCURRENT_TRANSACTIONS',
  'KAFKA_STORAGE_ERROR',
  'FETCH_SESSION_ID_NOT_FOUND',
  'INVALID_FETCH_SESSION_EPOCH',
  'LISTENER_NOT_FOUND',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'OFFSET_NOT_AVAILABLE',
  'UNSTABLE_OFFSET_COMMIT',
])

/** Whether another producer took over the transactional id, or the transaction was given up by the broker. */
export function isFencing(error: unknown): boolean {
  const type = protocolType(error)
  if (type !== undefined && FENCING.has(type)) return true
  // PRODUCER_FENCED, which the client has no name for.
  return causesOf(error).some(({ message }) => /Unknown error code:? 90\b|code 90\b/.test(message))
}

const FENCING = new Set([
  'INVALID_PRODUCER_EPOCH',
  'TRANSACTION_COORDINATOR_FENCED',
  'INVALID_PRODUCER_ID_MAPPING',
  'INVALID_TXN_STATE',
  'UNKNOWN_PRODUCER_ID',
])

/** A BizonError as it is, anything else in words. */
export function kafkaError(error: unknown, place: Place): BizonError {
  if (error instanceof BizonError) return error
  const { code, brokers, user, topic, group, transactionalId } = place
  const at = `Kafka at ${brokers.join(',')}`
  const who = user === undefined ? 'nobody in particular' : `user ${user}`
  const failed = (reason: string, hint: string, as: ErrorCode = code): BizonError =>
    new BizonError(as, `${at}: ${reason}`, { hint, retriable: isPassing(error), cause: error })
  const causes = causesOf(error)
  const text = messageOf(causes.at(-1) ?? error)
  const named = topic === undefined ? 'the topic' : `topic ${topic}`
  if (
    protocolType(error) === 'ILLEGAL_SASL_STATE' ||
    causes.some(({ name }) => name === 'KafkaJSSASLAuthenticationError')
  )
    return refusal(text, place, failed)
  if (isFencing(error)) {
    return failed(
      `another run took over${transactionalId === undefined ? '' : ` the transactional id ${transactionalId}`}, or a transaction took longer than its timeout`,
      'See whether the pipeline runs twice; else raise transaction.timeout.ms, in producer_config of a destination.',
      'fenced',
    )
  }
  switch (protocolType(error)) {
    case 'UNKNOWN_TOPIC_OR_PARTITION':
      return failed(`there is no ${named}`, 'Check its name, or create it.')
    case 'INVALID_TOPIC_EXCEPTION':
      return failed(`${named} cannot be called so`, 'Use letters, digits, dots, dashes and underscores, at most 249.')
    case 'TOPIC_AUTHORIZATION_FAILED':
      return failed(`${who} may not use ${named}`, 'Allow it by an ACL of the topic: Describe, with Read or Write.')
    case 'GROUP_AUTHORIZATION_FAILED':
      return failed(`${who} may not use group ${group ?? ''}`.trimEnd(), 'Allow it by an ACL of the group: Read.')
    case 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED':
      return failed(
        `${who} may not use the transactional id ${transactionalId ?? ''}`.trimEnd(),
        'Allow it by an ACL of the transactional id: Write and Describe.',
      )
    case 'CLUSTER_AUTHORIZATION_FAILED':
      return failed(
        `${who} may not do that to the cluster`,
        'Allow it by an ACL of the cluster: IdempotentWrite, Create.',
      )
    case 'MESSAGE_TOO_LARGE':
    case 'RECORD_LIST_TOO_LARGE':
      return failed(`a message is larger than ${named} takes`, 'Raise max.message.bytes of the topic.')
    case 'INVALID_TRANSACTION_TIMEOUT':
      return failed(
        'a transaction may not take that long there',
        'Set transaction.timeout.ms in producer_config to what the brokers allow, their transaction.max.timeout.ms.',
      )
    case 'UNSUPPORTED_COMPRESSION_TYPE':
      return failed(text, 'Only gzip can be read and written.')
    default:
  }
  if (ASKED_FOR_ONE.test(text)) {
    return failed(`it asks for a certificate of this side: ${text}`, 'Set tls.cert and tls.key.')
  }
  if (CERTIFICATE.test(text)) {
    return failed(`its certificate is not trusted: ${text}`, 'Set tls.ca to the certificate of its authority.')
  }
  if (/wrong version number|EPROTO|packet length too long/.test(`${systemCode(error)} ${text}`)) {
    return failed(
      'it does not speak TLS at this port',
      'Set security_protocol to PLAINTEXT or SASL_PLAINTEXT, or use another port.',
    )
  }
  if (isPassing(error)) {
    const hint = 'See whether it runs, can be reached, and speaks what security_protocol says at this port.'
    return failed(protocolType(error) === undefined ? `cannot be reached: ${text}` : text, hint)
  }
  return failed(text, 'See what the brokers have logged.')
}

/** Alerts 42 and 116 of TLS, by which a broker refuses a client that has shown none. */
const ASKED_FOR_ONE = /alert (?:bad certificate|certificate required)|alert number (?:42|116)/i
const CERTIFICATE = /certificate|self.signed|altnames|CERT_|UNABLE_TO_/i

function refusal(
  text: string,
  { user, mechanism = 'SASL' }: Place,
  failed: (reason: string, hint: string) => BizonError,
): BizonError {
  if (text.includes('is not supported by the server')) {
    return failed(`it does not know ${mechanism}`, 'Set authentication.mechanism to one that it knows.')
  }
  if (mechanism === 'OAUTHBEARER') return failed('the token was refused', 'Check authentication.')
  return failed(
    `user ${user ?? ''} was refused by ${mechanism}: wrong password, or none`,
    'Check user, password and authentication.mechanism.',
  )
}

/** The error, and what it came of: the client wraps an error in one that says that it was tried again. */
function causesOf(error: unknown, found: Error[] = []): readonly Error[] {
  if (!(error instanceof Error) || found.includes(error)) return found
  found.push(error)
  if (error instanceof AggregateError || Array.isArray((error as { errors?: unknown }).errors)) {
    for (const each of (error as AggregateError).errors) causesOf(each, found)
  }
  return causesOf(error.cause, found)
}
