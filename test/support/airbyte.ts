// The rules of the Airbyte protocol for one message, as a JSON Schema: another opinion on what we print. Written from
// the protocol's own description; unknown keys are allowed everywhere, as there.

import { Ajv } from 'ajv'

const text = { type: 'string' }
const object = { type: 'object' }
const count = { type: 'number', minimum: 0 }
const texts = { type: 'array', items: text }

const shape = (required: readonly string[], properties: object): object => ({ type: 'object', required, properties })

/** Where the key has this value, these others are required. */
function when(key: string, value: string, then: object): object {
  return { if: shape([key], { [key]: { const: value } }), then }
}

const descriptor = shape(['name'], { name: text, namespace: text })
const stats = shape([], { recordCount: count, rejectedRecordCount: count })
const modes = { enum: ['full_refresh', 'incremental'] }

const payloads: Readonly<Record<string, readonly [key: string, payload: object]>> = {
  RECORD: [
    'record',
    shape(['stream', 'data', 'emitted_at'], {
      stream: text,
      namespace: text,
      data: object,
      emitted_at: { type: 'integer', minimum: 1e12 },
    }),
  ],
  STATE: [
    'state',
    {
      ...shape([], {
        type: { enum: ['STREAM', 'GLOBAL', 'LEGACY'] },
        stream: shape(['stream_descriptor'], { stream_descriptor: descriptor, stream_state: object }),
        global: shape(['stream_states'], { shared_state: object, stream_states: { type: 'array' } }),
        data: object,
        sourceStats: stats,
        destinationStats: stats,
      }),
      allOf: [when('type', 'STREAM', { required: ['stream'] }), when('type', 'GLOBAL', { required: ['global'] })],
    },
  ],
  TRACE: [
    'trace',
    {
      ...shape(['type', 'emitted_at'], {
        type: { enum: ['ERROR', 'ESTIMATE', 'STREAM_STATUS', 'ANALYTICS'] },
        emitted_at: { type: 'number' },
        error: shape(['message'], {
          message: text,
          internal_message: text,
          stack_trace: text,
          failure_type: { enum: ['system_error', 'config_error', 'transient_error'] },
        }),
        stream_status: shape(['stream_descriptor', 'status'], {
          stream_descriptor: descriptor,
          status: { enum: ['STARTED', 'RUNNING', 'COMPLETE', 'INCOMPLETE'] },
        }),
      }),
      allOf: [
        when('type', 'ERROR', { required: ['error'] }),
        when('type', 'STREAM_STATUS', { required: ['stream_status'] }),
      ],
    },
  ],
  LOG: [
    'log',
    shape(['level', 'message'], {
      level: { enum: ['FATAL', 'ERROR', 'WARN', 'INFO', 'DEBUG', 'TRACE'] },
      message: text,
    }),
  ],
  CONNECTION_STATUS: [
    'connectionStatus',
    shape(['status'], { status: { enum: ['SUCCEEDED', 'FAILED'] }, message: text }),
  ],
  SPEC: [
    'spec',
    shape(['connectionSpecification'], {
      connectionSpecification: object,
      supportsIncremental: { type: 'boolean' },
      supported_destination_sync_modes: {
        type: 'array',
        items: { enum: ['append', 'overwrite', 'append_dedup', 'update', 'soft_delete'] },
      },
      protocol_version: text,
    }),
  ],
  CATALOG: [
    'catalog',
    shape(['streams'], {
      streams: {
        type: 'array',
        items: shape(['name', 'json_schema', 'supported_sync_modes'], {
          name: text,
          json_schema: object,
          supported_sync_modes: { type: 'array', minItems: 1, items: modes },
          source_defined_primary_key: { type: 'array', items: texts },
          default_cursor_field: texts,
          source_defined_cursor: { type: 'boolean' },
          is_resumable: { type: 'boolean' },
        }),
      },
    }),
  ],
}

const validate = new Ajv({ strict: true, strictRequired: false, allErrors: true }).compile({
  ...shape(['type'], { type: { enum: Object.keys(payloads) } }),
  allOf: Object.entries(payloads).map(([type, [key, payload]]) => when('type', type, shape([key], { [key]: payload }))),
})

/** What is wrong with the lines, each a message; empty: nothing. */
export function complaintsOfMessages(lines: readonly string[]): string[] {
  return lines.flatMap((line) => {
    const counts = [...line.matchAll(/"(?:recordCount|rejectedRecordCount)":([^,}]*)/g)].map(([, number]) => number)
    const pointless = counts.filter((number) => !/^\d+\.\d+$/.test(number ?? ''))
    const wrong = validate(JSON.parse(line)) ? [] : (validate.errors ?? []).map((error) => JSON.stringify(error))
    return [...wrong, ...pointless.map((number) => `${number} has no decimal point`)].map((why) => `${why}: ${line}`)
  })
}
