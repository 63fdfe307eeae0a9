// Paging that would never end, and is found out: pages that go round in a circle, a parameter that the API does not
// know, an API that promises more and gives nothing.

import { BizonError } from '../../../lib/errors.ts'
import { hideSecrets } from '../../../lib/http/url.ts'
import type { JsonObject } from '../../../lib/record.ts'
import type { Endpoint } from './endpoint.ts'
import type { Answer } from './pages.ts'

/** Finds out that pages go round in a circle, whatever its length, and remembers two of them only. */
export class Circle {
  #before = ''
  #mark = ''
  #steps = 0
  #limit = 1

  /** Whether this page is known to be asked for before. Changes nothing. */
  knows(at: JsonObject): boolean {
    const text = JSON.stringify(at)
    return text === this.#before || text === this.#mark
  }

  /** Whether this page was asked for before; if not, it is now. */
  closes(at: JsonObject): boolean {
    if (this.knows(at)) return true
    const text = JSON.stringify(at)
    this.#before = text
    if (++this.#steps === this.#limit) {
      this.#mark = text
      this.#steps = 0
      this.#limit *= 2
    }
    return false
  }
}

export function goesRound({ response }: Answer, at: JsonObject): BizonError {
  return new BizonError(
    'source',
    `${response.url}: the next page, ${hideSecrets(JSON.stringify(at))}, was read before: the API goes round in a circle`,
    {
      hint: 'Check `pagination` of the endpoint.',
    },
  )
}

const MOST_EMPTY = 1000

/** A page that begins like the one before: the API does not know the parameter, and would give it for ever. */
export class Repeats {
  readonly #param: string | undefined
  #before: Buffer | undefined
  #empty = 0

  constructor({ config: { pagination } }: Endpoint) {
    const counts = pagination.type === 'page_number' || pagination.type === 'offset'
    this.#param = counts ? pagination.param : undefined
  }

  check({ found, response }: Answer): void {
    const first = found.items?.[0]?.value
    if (this.#param === undefined) return
    this.#empty = first === undefined ? this.#empty + 1 : 0
    if (this.#empty > MOST_EMPTY) {
      throw new BizonError(
        'source',
        `${response.url}: more than ${MOST_EMPTY} pages without a record, one after the other`,
        {
          hint: 'Check `pagination` of the endpoint: the API says each time that more follows.',
        },
      )
    }
    if (first === undefined) return
    const same = this.#before?.equals(first.bytes()) ?? false
    if (same) {
      throw new BizonError('source', `${response.url}: the page begins with the same record as the one before`, {
        hint: `Check the name of the parameter, ${this.#param}: the API seems not to know it.`,
      })
    }
    this.#before = Buffer.from(first.bytes())
  }
}
