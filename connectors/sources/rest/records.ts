// From the items of an answer to records: their bytes as they came, with id, time and cursor value found in them.

import { rfc3339Of } from '../../../lib/cursor.ts'
import { BizonError } from '../../../lib/errors.ts'
import { keyOf } from '../../../lib/increment.ts'
import type { Item } from '../../../lib/json/path.ts'
import { isObject, stringOf } from '../../../lib/json.ts'
import { RawJson, type SourceRecord } from '../../../lib/record.ts'
import { idOf, isAbsent, timeOf } from '../../../lib/record-fields.ts'
import { type Endpoint, isNull } from './endpoint.ts'
import type { Answer, Spot } from './pages.ts'

/** What the record of a parent stands for in the requests for its children. */
export interface Parent {
  /** Placeholder to text. */
  readonly scope: Readonly<Record<string, string>>
  /** `"name":value,` for each field that the children are given as well; empty: none. */
  readonly prefix: string
  /** In the ids of children that have none. */
  readonly id: string
  /** Tells it from all others of its page, but those that ask for the same. */
  readonly key: string
}

/** The records of a page, in order. */
export function recordsOf(
  endpoint: Endpoint,
  answer: Answer,
  spot: Spot,
  parent: Parent | undefined,
): readonly SourceRecord[] {
  const items = answer.found.items ?? []
  const most = endpoint.config.max_records ?? Infinity
  return items
    .slice(0, Math.max(0, most - spot.received))
    .map((item, index) => recordOf(endpoint, answer, spot, parent, item, index))
}

function recordOf(
  endpoint: Endpoint,
  answer: Answer,
  spot: Spot,
  parent: Parent | undefined,
  item: Item,
  index: number,
): SourceRecord {
  const { value, fields } = item
  if (!isObject(value)) throw unusable(endpoint, answer, item, index, 'is no JSON object', 'records.')
  const id = endpoint.config.id === undefined ? undefined : idOf(endpoint.field.id(fields))
  if (id === undefined) checkNoId(endpoint, answer, item, index)
  const data = parent && parent.prefix !== '' ? withPrefix(value, parent.prefix) : value
  const time = endpoint.field.timestamp(fields)
  if (time === undefined || isAbsent(time)) return { id: id ?? placeOf(spot, parent, index), data }
  const timestamp = timestampOf(time)
  if (timestamp === undefined) {
    throw unusable(endpoint, answer, item, index, `has no time at ${endpoint.config.timestamp}`, 'timestamp.')
  }
  return { id: id ?? placeOf(spot, parent, index), data, timestamp }
}

function checkNoId(endpoint: Endpoint, answer: Answer, item: Item, index: number): void {
  const { id } = endpoint.config
  const found = endpoint.field.id(item.fields)
  if (id === undefined || (found === undefined && endpoint.missingId === 'place')) return
  const what = found === undefined ? `has no ${id.join(' or ')}` : 'has an id that is neither string nor integer'
  throw unusable(endpoint, answer, item, index, what, 'id; without it a record is known by its place.')
}

/** `key`: of the endpoint, the end of the hint. */
function unusable(
  { name }: Endpoint,
  { response }: Answer,
  { value }: Item,
  index: number,
  what: string,
  key: string,
): BizonError {
  const text = excerpt(value.bytes())
  return new BizonError('invalid_record', `${response.url}: record ${index + 1} ${what}: ${text}`, {
    hint: `Check source.endpoints.${name}.${key}`,
  })
}

/** What an item has in the cursor field; undefined: nothing. */
export function cursorIn(endpoint: Endpoint, { fields }: Item): string | undefined {
  const cursor = endpoint.field.cursor(fields)
  return cursor === undefined || isAbsent(cursor) ? undefined : (stringOf(cursor) ?? cursor.toString())
}

/** Where in the read a record without an id is: the same when the page is asked for again. */
function placeOf({ at, pages }: Spot, parent: Parent | undefined, index: number): string {
  const place = `${typeof at?.offset === 'number' ? at.offset : pages}_${index}`
  return parent ? `${parent.id}_${place}` : place
}

/** A time without a zone is taken as UTC. */
function timestampOf(raw: RawJson): Date | string | undefined {
  const time = timeOf(raw)
  if (time !== undefined) return time
  const text = stringOf(raw)
  return text === undefined ? undefined : rfc3339Of(text)
}

function withPrefix(value: RawJson, prefix: string): RawJson {
  const inside = value.toString().replace(/^\s*\{\s*/, '')
  return RawJson.from(`{${inside.startsWith('}') ? prefix.slice(0, -1) : prefix}${inside}`)
}

/** What the children of a record are asked with. */
export function parentOf(parent: Endpoint, child: Endpoint, item: Item, answer: Answer): Parent {
  const { fields = {}, include = [] } = child.config.parent ?? {}
  const found = parent.field.forChild(item.fields)
  const scope: Record<string, string> = {}
  let prefix = ''
  for (const [index, [name, path]] of Object.entries(fields).entries()) {
    const raw = found[index]
    const text = raw && (stringOf(raw) ?? raw.toString())
    if (raw === undefined || text === undefined || isNull(raw) || /^[[{]/.test(raw.toString())) {
      throw new BizonError(
        'invalid_record',
        `${answer.response.url}: a record has no value at ${path} for {${name}}: ${excerpt(item.value.bytes())}`,
        { hint: `Check source.endpoints.${child.name}.parent.fields.` },
      )
    }
    scope[name] = text
    if (include.includes(name)) prefix += `${JSON.stringify(name)}:${raw},`
  }
  const values = Object.values(scope)
  return { scope, prefix, id: values.join('_'), key: keyOf(JSON.stringify(values)) }
}

const EXCERPT_BYTES = 200

/** The start of it, on one line. */
export function excerpt(bytes: Buffer): string {
  const text = bytes.toString('utf8', 0, EXCERPT_BYTES).replaceAll(/\s+/g, ' ').trim()
  return bytes.length > EXCERPT_BYTES ? `${text}…` : text
}
