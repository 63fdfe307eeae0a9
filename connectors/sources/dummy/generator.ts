// Seeded records: the n-th one depends on the seed and n alone, so that any two runs, resumed anywhere, agree.

import { BizonError } from '../../../lib/errors.ts'
import { RawJson } from '../../../lib/record.ts'
import type { Page, Start } from '../../../lib/source.ts'

export interface GeneratorOptions {
  readonly records: number
  readonly record_bytes: number
  readonly page_size: number
  readonly seed: number
  readonly fail_at_page?: number | undefined
}

/**
 * Pages from the position or the watermark on. An incremental run gets the records that a larger `records`
 * has added since.
 */
export function* generate(options: GeneratorOptions, from: Start): Generator<Page> {
  let at = (from.position?.next ?? from.since?.value ?? 0) as number
  do {
    const pageNumber = Math.floor(at / options.page_size) + 1
    if (pageNumber === options.fail_at_page) throw new BizonError('source', `dummy: page ${pageNumber} fails, as asked`)
    const end = Math.min(at + options.page_size, options.records)
    const records = []
    for (; at < end; at++) records.push({ id: String(at), data: recordAt(at, options) })
    yield { records, next: at < options.records ? { next: at } : null, watermark: at }
  } while (at < options.records)
}

function recordAt(n: number, { seed, record_bytes }: GeneratorOptions): RawJson {
  const random = mix(seed, n)
  const head = `{"id":${n},"random":${random},"exact":${n}.10,"big":9007199254740993${n % 10},"text":"é\\n\\"${random.toString(36)}","pad":"`
  return RawJson.from(`${head}${'x'.repeat(Math.max(0, record_bytes - Buffer.byteLength(head) - 2))}"}`)
}

/** 32 well-mixed bits of the two numbers. */
function mix(seed: number, n: number): number {
  let bits = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(n, 0x85ebca6b)) >>> 0
  bits = Math.imul(bits ^ (bits >>> 15), 0x2c1b3c6d) >>> 0
  bits = Math.imul(bits ^ (bits >>> 12), 0x297a2d39) >>> 0
  return (bits ^ (bits >>> 15)) >>> 0
}
