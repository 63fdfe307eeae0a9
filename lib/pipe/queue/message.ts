// What the headers of a message say of its body, which is a small pipe of its own: the lines with which a pipe begins at that
// place, then whole pages, each with its STATE. A page that is larger than a message is cut into parts, within lines if need be.

import { crc32 } from 'node:zlib'
import type { Arrival, Headers } from '../../channel.ts'
import { BizonError } from '../../errors.ts'
import type { Partition } from '../../partition.ts'

export interface MessageHead {
  readonly pipeline: string
  readonly source: string
  readonly stream: string
  /** Which of the partitions of the stream it is of. Absent: there is one. */
  readonly partition?: Partition | undefined
  readonly run: string
  /** When the run began to read. */
  readonly at: Date
  /** Where the run ends that it reads on from. Absent: the destination has published that one. */
  readonly after?: { readonly page: number; readonly rows: number } | undefined
  /** Of the process that wrote it: its messages go on where the one before them ends. */
  readonly session: string
  /** Pages of the run before it. */
  readonly from: number
  /** Pages of the run behind it; of a part, behind the last one of its page. */
  readonly to: number
  /** Of a page that was cut: from 0. */
  readonly part: number
  /** No part follows it. */
  readonly last: boolean
  /** The run ends with it. */
  readonly end: boolean
}

const VERSION = '1'
const NAMES = ['pipeline', 'source', 'stream', 'run', 'at', 'session', 'from', 'to', 'part', 'last', 'end'] as const

/** Which bytes the body has: brokers and programs between are not to be trusted with it. */
const BODY = 'bizon-body'

/** How many they are, and their CRC-32. */
const sumOf = (body: Uint8Array): string => `${body.byteLength} ${crc32(body).toString(16).padStart(8, '0')}`

/** What is wrong with the body of a message of bizon; undefined: it is as it was written. */
export function damageOf({ headers, body }: Pick<Arrival, 'headers' | 'body'>): string | undefined {
  const [written, found] = [headers[BODY], sumOf(body)]
  if (written === found) return undefined
  if (written === undefined) return `its header ${BODY} is missing`
  const [bytes] = written.split(' ')
  return Number(bytes) === body.byteLength
    ? 'its body was changed on its way'
    : `its body has ${body.byteLength} bytes, and ${bytes} were written`
}

export function writeHead(head: MessageHead, body: Uint8Array): Headers {
  const texts = { ...head, at: head.at.toISOString(), last: head.last ? 1 : 0, end: head.end ? 1 : 0 }
  const named = NAMES.map((name) => [`bizon-${name}`, String(texts[name])])
  const { after, partition } = head
  const place = [
    ...(after
      ? [['bizon-after-page', String(after.page)] as const, ['bizon-after-rows', String(after.rows)] as const]
      : []),
    ...(partition ? [['bizon-partition', `${partition.index}/${partition.of}`] as const] : []),
  ]
  return Object.fromEntries([['bizon-version', VERSION], ...named, ...place, [BODY, sumOf(body)]])
}

/** Undefined: it is not a message of bizon. Throws if it is one that this program does not know. */
export function readHead({ headers, place }: Pick<Arrival, 'headers' | 'place'>): MessageHead | undefined {
  const version = headers['bizon-version']
  if (version === undefined) return undefined
  if (version !== VERSION) {
    throw new BizonError(
      'source',
      `${place}: it is a message of version ${version}, and this program knows ${VERSION}`,
      {
        hint: 'Load it with the version of bizon that wrote it, or a newer one.',
      },
    )
  }
  const text = (name: (typeof NAMES)[number]): string => {
    const value = headers[`bizon-${name}`]
    if (value === undefined) throw damaged(place, name, 'is missing')
    return value
  }
  const count = (name: 'from' | 'to' | 'part'): number => {
    const value = Number(text(name))
    if (!Number.isSafeInteger(value) || value < 0) throw damaged(place, name, `is ${text(name)}`)
    return value
  }
  const at = new Date(text('at'))
  if (Number.isNaN(at.getTime())) throw damaged(place, 'at', `is ${text('at')}`)
  const after = headers['bizon-after-page']
  const [index, of] = (headers['bizon-partition'] ?? '').split('/')
  return {
    ...(of !== undefined && { partition: { index: Number(index), of: Number(of) } }),
    ...(after !== undefined && { after: { page: Number(after), rows: Number(headers['bizon-after-rows']) } }),
    pipeline: text('pipeline'),
    source: text('source'),
    stream: text('stream'),
    run: text('run'),
    at,
    session: text('session'),
    from: count('from'),
    to: count('to'),
    part: count('part'),
    last: text('last') === '1',
    end: text('end') === '1',
  }
}

function damaged(place: string, name: string, what: string): BizonError {
  return new BizonError('source', `${place}: its header bizon-${name} ${what}`, { hint: 'See docs/pipe-format.md.' })
}
