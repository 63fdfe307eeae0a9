// The contract of a destination as one call, for the tests of one's own: `await verifyDestination(destination, { … })`.

import type { Checkpoint, Receipt } from '../checkpoint.ts'
import { definitionProblem } from '../custom/definition.ts'
import type { Destination, DestinationDefinition, Run } from '../destination.ts'
import { BizonError } from '../errors.ts'
import { silentLog } from '../log.ts'
import { RawJson } from '../record.ts'
import type { Page, SyncMode } from '../source.ts'

export interface DestinationUse {
  /** The keys under `destination.config:` that are its own, as a YAML file would have them. Default: none. */
  readonly config?: object
  /** The ids of all records that a reader of the target sees now, in any order; none when there is no target. */
  readonly published: () => Promise<readonly string[]>
}

/**
 * Loads three pages with crashes and repetitions at the places that matter, and looks at the target after each.
 * `config` must lead to an empty target. Rejects with the first thing that breaks the contract.
 */
export async function verifyDestination(definition: DestinationDefinition, use: DestinationUse): Promise<void> {
  const loads = new Loads(definition, use)
  await loads.check()
  await loads.expect([], 'after a check')

  const first = loads.run('full_refresh', 'first')
  await loads.through(first, { pages: ['a', 'b'], publish: false })
  await loads.expect([], 'after a run that did not publish')
  await loads.through(first, { resumes: 2, publish: true })
  await loads.expect(['a', 'b'], 'after a run that was killed before it published, and its resume')

  const second = loads.run('full_refresh', 'second')
  await loads.through(second, { pages: ['c', 'd'], lost: 'lost', end: false })
  await loads.expect(['a', 'b'], 'after a full refresh that was killed')
  await loads.through(second, { resumes: 2, pages: ['e'], publish: true })
  await loads.expect(['c', 'd', 'e'], 'after a full refresh that was killed behind a checkpoint, and its resume')

  const third = loads.run('incremental', 'third', { complete: false, previous: second.id })
  await loads.through(third, { pages: ['f'], publish: true })
  await loads.through(third, { resumes: 1, publish: true })
  await loads.expect(['c', 'd', 'e', 'f'], 'after an incremental run that published twice, as after a crash between')

  await loads.through(loads.run('full_refresh', 'fourth'), { pages: [], publish: true })
  await loads.expect([], 'after a full refresh without a record')
}

interface Through {
  /** One page and one checkpoint for each id. */
  readonly pages?: readonly string[]
  /** A page that was written, and lost because no checkpoint followed. */
  readonly lost?: string
  /** Whether the source came to its end. Default true. */
  readonly end?: boolean
  readonly publish?: boolean
  /** The page of the checkpoint that an earlier process left. Absent: none. */
  readonly resumes?: number
}

class Loads {
  readonly #definition: DestinationDefinition
  readonly #use: DestinationUse
  readonly #options: unknown
  readonly #stored = new Map<string, Checkpoint & { receipt?: Receipt }>()
  #epoch = 0

  constructor(definition: DestinationDefinition, use: DestinationUse) {
    const problem = definitionProblem({ default: definition }, 'destination')
    if (problem !== undefined) throw broken(problem)
    const parsed = definition.config.safeParse(use.config ?? {})
    if (!parsed.success) throw new BizonError('config', parsed.error.message)
    this.#definition = definition
    this.#use = use
    this.#options = parsed.data
  }

  run(mode: SyncMode, id: string, more: Partial<Run> = {}): Run {
    return { id, pipeline: 'verify', source: 'verify', stream: 'letters', mode, epoch: 0, complete: true, ...more }
  }

  async check(): Promise<void> {
    const destination = this.#create('full_refresh')
    await destination.check?.(never)
    await destination.close()
  }

  /** One process of a run: opens, writes, and ends as it says. */
  async through(run: Run, { pages = [], lost, end = true, publish = false, resumes }: Through): Promise<void> {
    const destination = this.#create(run.mode)
    const stored = this.#stored.get(run.id)
    this.#epoch += 1
    try {
      const standing = await destination.open({ ...run, epoch: this.#epoch, ...(stored && { stored }) }, never)
      if (standing?.page !== resumes) {
        const [got, expected] = [pageText(standing?.page), pageText(resumes)]
        throw broken(`open() of run "${run.id}" resolved to ${got}, where ${expected} was durable`)
      }
      const before = standing?.page ?? 0
      for (const [index, id] of pages.entries()) {
        const last = end && index === pages.length - 1
        const page = before + index + 1
        await this.#write(destination, id, last ? null : { page })
        await this.#flush(destination, run, page, last)
      }
      if (lost !== undefined) await this.#write(destination, lost, { page: 99 })
      if (pages.length === 0 && resumes === undefined) await this.#flush(destination, run, 1, true)
      if (!publish) return
      await destination.publish()
      await destination.publish()
    } finally {
      await destination.close()
      await destination.close()
    }
  }

  async expect(ids: readonly string[], when: string): Promise<void> {
    const [got, expected] = [[...(await this.#use.published())].sort().join(', '), ids.join(', ')]
    if (got !== expected) throw broken(`${when} the target holds ${got || 'nothing'}, not ${expected || 'nothing'}`)
  }

  #create(mode: SyncMode): Destination {
    const shared = { destinationId: 'letters', unnest: false, recordSchemas: [] }
    const options = { ...(this.#options as object), ...shared }
    return this.#definition.create(options, { pipeline: 'verify', stream: 'letters', mode, log: silentLog })
  }

  /** One page of one record, whose buffer is then used again, as the engine does: only a copy survives. */
  async #write(destination: Destination, id: string, next: Page['next']): Promise<void> {
    const data = RawJson.from(JSON.stringify({ letter: id }))
    await destination.write({ records: [{ id, data }], next }, never)
    data.buffer.fill('#')
  }

  async #flush(destination: Destination, run: Run, page: number, end: boolean): Promise<void> {
    const checkpoint = { run: run.id, page, rows: page, position: end ? null : { page }, end }
    const receipt = await destination.flush(checkpoint)
    this.#stored.set(run.id, { ...checkpoint, ...(receipt && { receipt }) })
  }
}

function pageText(page: number | undefined): string {
  return page === undefined ? 'no checkpoint' : `the checkpoint of page ${page}`
}

function broken(what: string): BizonError {
  return new BizonError('destination', `the destination breaks its contract: ${what}`)
}

const never = new AbortController().signal
