// The rules of the Singer specification for the lines a tap may print, and what docs/pipe-format.md adds, as JSON Schema:
// a third opinion on our lines, written from the texts and not from the code.

import { Ajv } from 'ajv'

const text = { type: 'string' }
const count = { type: 'integer', minimum: 0 }
const time = { type: 'string', format: 'rfc3339' }
const of = (type: string, required: readonly string[], properties: object): object => ({
  type: 'object',
  required: ['type', ...required],
  properties: { type: { const: type }, ...properties },
})

/** Of any tap: more keys are allowed. */
export const MESSAGE = {
  oneOf: [
    of('SCHEMA', ['stream', 'schema', 'key_properties'], {
      stream: text,
      schema: {
        type: 'object',
        required: ['type', 'properties'],
        properties: { type: { const: 'object' }, properties: { type: 'object' } },
      },
      key_properties: { type: 'array', items: text },
    }),
    of('RECORD', ['stream', 'record'], {
      stream: text,
      record: { type: 'object' },
      time_extracted: time,
      version: count,
    }),
    of('STATE', ['value'], { value: { type: 'object' } }),
  ],
}

const place = {
  run: { type: 'string', pattern: '^[0-9a-f]{32}$' },
  at: time,
  pipeline: text,
  stream: text,
  previous: { type: 'string', pattern: '^[0-9a-f]{32}$' },
  page: count,
  rows: count,
  end: { type: 'boolean' },
  position: { type: ['object', 'null'] },
  watermark: true,
}
const exactly = (properties: object, required: readonly string[]): object => ({
  type: 'object',
  additionalProperties: false,
  properties,
  required,
})
const beginning = exactly(
  {
    pipeline: text,
    source: text,
    stream: text,
    mode: { enum: ['full_refresh', 'incremental', 'stream'] },
    resumable: { type: 'boolean' },
    reset: { type: 'boolean' },
    start_over: { type: 'boolean' },
    hash: text,
    transforms: text,
  },
  ['pipeline', 'source', 'stream', 'mode'],
)
const standing = ['run', 'at', 'page', 'rows', 'end', 'position']
const stateOf = (bizon: object): object => ({
  type: 'object',
  required: ['value'],
  properties: { value: exactly({ bizon }, ['bizon']) },
})

/** Of ours: the first line, and each that follows. No more keys under `bizon` than the page lists. */
export const FIRST = stateOf(exactly({ ...place, begin: beginning }, [...standing, 'begin']))
export const FOLLOWING = {
  oneOf: [
    { properties: { type: { const: 'SCHEMA' } }, required: ['type'] },
    {
      required: ['type', 'bizon'],
      properties: {
        type: { const: 'RECORD' },
        bizon: exactly({ n: { type: 'integer', minimum: 1 }, id: text, at: time, to: text }, ['n', 'id']),
      },
    },
    { required: ['type'], properties: { type: { const: 'STATE' } }, ...stateOf(exactly(place, standing)) },
  ],
}

const ajv = new Ajv({ strict: false, validateFormats: true, allErrors: true })
ajv.addFormat('rfc3339', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/)
const isMessage = ajv.compile(MESSAGE)
const isFirst = ajv.compile(FIRST)
const isFollowing = ajv.compile(FOLLOWING)

/** What is wrong with the lines of a pipe of ours; of a tap's (`plain`) only the rules for all taps hold. */
export function complaintsOfLines(lines: readonly string[], { plain = false } = {}): string[] {
  return lines.flatMap((line, index) => {
    const message: unknown = JSON.parse(line)
    const rules = plain ? [isMessage] : [isMessage, index === 0 ? isFirst : isFollowing]
    return rules.flatMap((fits) => (fits(message) ? [] : [`${line}: ${ajv.errorsText(fits.errors)}`]))
  })
}
