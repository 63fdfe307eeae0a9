// The state as a value that travels: what bizon-load prints and `bizon-extract --state` takes, or the same for programs
// that speak Airbyte. A value is one line; before it may stand that of the published run that it adds to.

import { BizonError } from '../errors.ts'
import { watermarkOf } from '../job.ts'
import { parseJson, stringifyJson } from '../json.ts'
import { valueIn } from '../pipe/said.ts'
import { type PipeState, readStateOf, writeState } from '../pipe/state.ts'
import type { Json } from '../record.ts'
import { redactor } from '../redact.ts'
import { isMapping } from '../references.ts'
import type { Job } from '../state.ts'
import { type OpenState, standingIn } from './standing.ts'

export const STATE_FORMATS = ['bizon', 'singer', 'airbyte'] as const
export type StateFormat = (typeof STATE_FORMATS)[number]

/** What the next run goes on from, as text; undefined: it begins at the beginning. */
export async function exportState(state: OpenState, format: StateFormat): Promise<string | undefined> {
  const lines = (await statesOf(state)).map(writeState)
  const last = lines.at(-1)
  if (last === undefined) return undefined
  const text = format === 'bizon' ? lines.join('\n') : format === 'singer' ? last : airbyte(state.identity.stream, last)
  // What a source left as its watermark may repeat what it was asked with; a position has references in such places.
  if (redactor(state.config.secrets)(text) !== text) {
    throw new BizonError(
      'state',
      `${state.label}: the state holds a secret of ${state.config.path}, and is not shown`,
      {
        hint: 'bizon state show prints it without the secret.',
      },
    )
  }
  return text
}

/** The last one counts. */
async function statesOf(state: OpenState): Promise<readonly PipeState[]> {
  const { store } = state
  const { next, published } = await standingIn(state)
  const states: PipeState[] = []
  if (published && next.previous === published.id) {
    const end = await store.lastCheckpoint(published)
    states.push(endOf(published, { page: end?.page ?? 0, rows: end?.rows ?? 0 }))
  }
  const { job } = next
  // The end is told once it is published: until then the page before it is where a producer goes on.
  const reached = job && (await store.checkpoints(job)).findLast(({ page, end }) => page > 0 && !end)
  if (job && reached) {
    const { page, rows, position, end, watermark } = reached
    states.push({
      run: job.id,
      at: job.createdAt,
      ...(next.previous !== undefined && { previous: next.previous }),
      page,
      rows,
      end,
      position,
      ...(watermark !== undefined && { watermark }),
    })
  }
  return states
}

function endOf(job: Job, { page, rows }: { page: number; rows: number }): PipeState {
  const { time, value } = watermarkOf(job)
  return {
    run: job.id,
    at: time,
    page,
    rows,
    end: true,
    position: null,
    ...(value !== undefined && { watermark: value }),
  }
}

function airbyte(stream: string, line: string): string {
  return stringifyJson([
    { type: 'STREAM', stream: { stream_descriptor: { name: stream }, stream_state: parseJson(line) } },
  ])
}

/** What `exportState` or bizon-load wrote, in any of its formats, oldest first. `path` is for messages. */
export function readStates(text: string, path: string, stream: string): readonly PipeState[] {
  const lines = text.trimStart().startsWith('[')
    ? [airbyteState(text, path, stream)]
    : text.split('\n').filter((line) => line.trim() !== '')
  if (lines.length === 0) throw unusable(path, 'is empty')
  return lines.map((line, index) => {
    const state = readStateOf(valueIn(Buffer.from(line)))
    if (!state) throw unusable(path, `line ${index + 1} is no STATE value of bizon`)
    return state
  })
}

function airbyteState(text: string, path: string, stream: string): string {
  const messages = valueIn(Buffer.from(text))
  if (!Array.isArray(messages)) throw unusable(path, 'is not valid JSON')
  for (const message of messages as readonly Json[]) {
    const given = isMapping(message) && isMapping(message.stream) ? message.stream : {}
    const { stream_descriptor: descriptor, stream_state: state } = given
    if (isMapping(descriptor) && descriptor.name === stream && isMapping(state)) return stringifyJson(state as Json)
  }
  throw unusable(path, `holds no state of stream ${stream}`)
}

function unusable(path: string, why: string): BizonError {
  return new BizonError('usage', `${path}: ${why}`, { hint: 'It is what bizon state export or bizon-load prints.' })
}
