// Where a run can be killed: the fault points that an undisturbed run passes, or the system calls that make its files
// durable, each of them counted.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCode } from '../errors.ts'
import type { Execution, Side } from './process.ts'

/** The `at`-th passing of a point, or the `at`-th call on a file. */
export interface Operation {
  readonly side: Side
  readonly name: string
  /** Of a system call: relative to the scratch folder. */
  readonly path?: string
  readonly at: number
}

/** How operations are counted, and how one of them is made the last. */
export interface Engine {
  /** What the undisturbed run has to be run with. */
  counting(folder: string, sides: readonly Side[]): Pick<Execution, 'env' | 'under'>
  counted(folder: string, sides: readonly Side[]): Promise<Operation[]>
  killing(operation: Operation, folder: string): Pick<Execution, 'env' | 'under'>
}

const logOf = (folder: string, side: Side): string => join(folder, `${side}.operations`)

async function linesOf(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return ''
    throw error
  })
  return text.split('\n').filter((line) => line !== '')
}

const sided = <Value>(sides: readonly Side[], value: (side: Side) => Value): { [side in Side]?: Value } =>
  Object.fromEntries(sides.map((side) => [side, value(side)]))

export const faultPoints: Engine = {
  counting: (folder, sides) => ({ env: sided(sides, (side) => ({ BIZON_FAULTS_TO: logOf(folder, side) })) }),
  async counted(folder, sides) {
    const operations: Operation[] = []
    for (const side of sides) {
      const passed = new Map<string, number>()
      for (const name of await linesOf(logOf(folder, side))) {
        const at = (passed.get(name) ?? 0) + 1
        passed.set(name, at)
        operations.push({ side, name, at })
      }
    }
    return operations
  },
  killing: (operation) => failing(operation, 'kill'),
}

export type FaultAction = 'kill' | 'term' | 'enospc' | 'cut'

export const failing = ({ side, name, at }: Operation, action: FaultAction): Pick<Execution, 'env'> => ({
  env: { [side]: { BIZON_FAILPOINT: `${name}@${at}:${action}` } },
})

/** What need not end the process: its log says whether it came to the point. */
export function surviving(operation: Operation, action: FaultAction, folder: string) {
  const { side, name, at } = operation
  const counting = faultPoints.counting(folder, [side]).env?.[side]
  return {
    env: { [side]: { ...failing(operation, action).env?.[side], ...counting } },
    passed: async () =>
      (await faultPoints.counted(folder, [side])).some((passed) => passed.name === name && passed.at === at),
  }
}

/** What changes the names in a folder, or makes content durable. */
const CALLS = 'fsync,fdatasync,rename,renameat,renameat2,ftruncate,unlink,unlinkat'
/** strace counts calls per thread and path: with a pool of one the same thread does the same work in every run. */
const ONE_THREAD = { UV_THREADPOOL_SIZE: '1' }

export const systemCalls: Engine = {
  counting: (folder, sides) => ({
    env: sided(sides, () => ONE_THREAD),
    under: sided(sides, (side) => [
      ...['strace', '-f', '-qq', '-y', '-s', '0', '-o', logOf(folder, side), '-e', `trace=${CALLS}`],
    ]),
  }),
  async counted(folder, sides) {
    const operations: Operation[] = []
    for (const side of sides) {
      const counts = new Map<string, number>()
      for (const line of await linesOf(logOf(folder, side))) {
        // `123 fsync(5</folder/file>)` or `123 rename("/folder/old", …`
        const match = /^(\d+) +(\w+)\((?:\d+<([^>]+)>|(?:AT_FDCWD[^,]*, )?"([^"]+)")/.exec(line)
        const [thread, name = '', path = ''] = [match?.[1], match?.[2], match?.[3] ?? match?.[4]]
        if (path !== folder && !path.startsWith(`${folder}/`)) continue
        const own = path.slice(folder.length + 1) || '.'
        const at = (counts.get(`${thread} ${name} ${own}`) ?? 0) + 1
        counts.set(`${thread} ${name} ${own}`, at)
        if (
          !operations.some(
            (known) => known.side === side && known.name === name && known.path === own && known.at === at,
          )
        )
          operations.push({ side, name, path: own, at })
      }
    }
    return operations
  },
  killing: ({ side, name, path = '.', at }, folder) => ({
    env: { [side]: ONE_THREAD },
    under: {
      [side]: [
        ...['strace', '-f', '-qq', '-o', '/dev/null', '-P', path === '.' ? folder : join(folder, path)],
        ...['-e', `trace=${name}`, '-e', `inject=${name}:signal=SIGKILL:when=${at}`],
      ],
    },
  }),
}

export const nameOf = ({ side, name, path, at }: Operation): string =>
  `${side === 'run' ? '' : `${side}: `}${name}${path === undefined ? '' : ` ${path}`}@${at}`

/** So many of all, spread evenly: of each stretch one, chosen by the seed. */
export function spread<Item>(items: readonly Item[], count: number, seed: number): Item[] {
  if (count >= items.length) return [...items]
  const random = randomOf(seed)
  return Array.from({ length: count }, (_, at) => {
    const [from, to] = [(at * items.length) / count, ((at + 1) * items.length) / count]
    return items[Math.min(items.length - 1, Math.floor(from + random() * (to - from)))] as Item
  })
}

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
