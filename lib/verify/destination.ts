// The contract of a destination as one call, for the tests of one's own: `await verifyDestination(destination, { … })`.

import type { Checkpoint, Receipt } from '../checkpoint.ts'
import { definitionProblem } from '../custom/definition.ts'
import type { Destination, DestinationDefinition, Run } from '../destination.ts'
import { BizonError } from '../errors.ts'
import { silentLog } from '../log.ts'
import { RawJson } from '../record.ts'
import type { Page, SyncMode } from '../source.ts'
import { never } from '../wait.ts'

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
  await loads.expect('', 'after a check')

  const first = loads.run('full_refresh', 'first')
  await loads.through(first, { pages: ['a', 'bc'], publish: false })
  await loads.expect('', 'after a run that did not publish')
  await loads.through(first, { resumes: 2, publish: true })
  await loads.expect('abc', 'after a run that was killed before it published, and its resume')

  const second = loads.run('full_refresh', 'second')
  await loads.through(second, { pages: ['de', 'f'], lost: 'x', end: false })
  await loads.expect('abc', 'after a full refresh that was killed')
  await loads.overtaken(second, 'y')
  await loads.through(second, { resumes: 2, pages: ['g'], publish: true })
  await loads.expect('defg', 'after a full refresh that was killed behind a checkpoint, and its resume')

  const third = loads.run('incremental', 'third', { complete: false, previous: second.id })
  await loads.through(third, { pages: ['h'], publish: true })
  await loads.through(third, { resumes: 1, publish: true })
  await loads.expect('defgh', 'after an incremental run that published twice, as after a crash between')

  await loads.through(loads.run('full_refresh', 'fourth'), { pages: [], publish: true })
  await loads.expect('', 'after a full refresh without a record')
}

interface Through {
  /** One page and one checkpoint each; every letter is the id of a record. */
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
      requireStanding(run, standing, resumes === undefined ? undefined : stored)
      let { page, rows } = standing ?? { page: 0, rows: 0 }
      for (const [index, letters] of pages.entries()) {
        const last = end && index === pages.length - 1
        page += 1
        rows += letters.length
        await this.#write(destination, letters, last ? null : { page })
        await this.#flush(destination, checkpointOf(run, page, rows, last))
      }
      if (lost !== undefined) await this.#write(destination, lost, { page: 99 })
      if (pages.length === 0 && resumes === undefined) await this.#flush(destination, checkpointOf(run, 1, 0, true))
      if (!publish) return
      await destination.publish()
      await destination.publish()
    } finally {
      await destination.close()
      await destination.close()
    }
  }

  /**
   * A process that goes on writing after another one took over. There is nothing to see where a lock keeps the other
   * one out, or where the target holds no checkpoints, so that it cannot know.
   */
  async overtaken(run: Run, letters: string): Promise<void> {
    const [older, newer] = [this.#create(run.mode), this.#create(run.mode)]
    const stored = this.#stored.get(run.id)
    try {
      await older.open({ ...run, epoch: ++this.#epoch, ...(stored && { stored }) }, never)
      const standing = await newer.open({ ...run, epoch: ++this.#epoch }, never).catch((error: unknown) => {
        if (codeOf(error) === 'locked') return undefined
        throw error
      })
      if (!standing) return
      const late = this.#write(older, letters, { page: 98 }).then(() => older.flush(checkpointOf(run, 98, 98, false)))
      const got = await late.then(() => 'succeeded', codeOf)
      if (got === 'fenced') return
      throw broken(`flush() after a process with a greater epoch opened: ${got}; it must reject with code fenced`)
    } finally {
      await older.close()
      await newer.close()
    }
  }

  async expect(letters: string, when: string): Promise<void> {
    const [got, expected] = [[...(await this.#use.published())].sort().join(', '), [...letters].join(', ')]
    if (got !== expected) throw broken(`${when} the target holds ${got || 'nothing'}, not ${expected || 'nothing'}`)
  }

  #create(mode: SyncMode): Destination {
    const shared = { destinationId: 'letters', unnest: false, recordSchemas: [] }
    const options = { ...(this.#options as object), ...shared }
    return this.#definition.create(options, { pipeline: 'verify', stream: 'letters', mode, log: silentLog })
  }

  /** One page, whose buffers are then used again, as the engine does: only a copy survives. */
  async #write(destination: Destination, letters: string, next: Page['next']): Promise<void> {
    const records = [...letters].map((id) => ({ id, data: RawJson.from(JSON.stringify({ letter: id })) }))
    await destination.write({ records, next }, never)
    for (const { data } of records) data.buffer.fill('#')
  }

  async #flush(destination: Destination, checkpoint: Checkpoint): Promise<void> {
    const receipt = await destination.flush(checkpoint)
    this.#stored.set(checkpoint.run, { ...checkpoint, ...(receipt && { receipt }) })
  }
}

function checkpointOf({ id }: Run, page: number, rows: number, end: boolean): Checkpoint {
  return { run: id, page, rows, position: end ? null : { page }, end, watermark: `${id} ${page}` }
}

/** The checkpoint must come back whole: the run goes on from its position and counts on from its rows. */
function requireStanding(run: Run, got: Checkpoint | undefined, expected: Checkpoint | undefined): void {
  if (textOf(got) === textOf(expected)) return
  const [page, durable] = [pageText(got), pageText(expected)]
  const what = page === durable ? `${textOf(got)}, where ${textOf(expected)}` : `${page}, where ${durable}`
  throw broken(`open() of run "${run.id}" resolved to ${what} was durable`)
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : error
}

function textOf(checkpoint: Checkpoint | undefined): string {
  if (checkpoint === undefined) return 'no checkpoint'
  const { run, page, rows, position, end, watermark } = checkpoint
  return JSON.stringify({ run, page, rows, position, end, watermark })
}

function pageText(checkpoint: Checkpoint | undefined): string {
  return checkpoint === undefined ? 'no checkpoint' : `the checkpoint of page ${checkpoint.page}`
}

function broken(what: string): BizonError {
  return new BizonError('destination', `the destination breaks its contract: ${what}`)
}
