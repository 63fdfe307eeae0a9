// System calls as Debian's strace sees them: counted for each file, and failed or made the last one, each on its own.
// strace counts `when=` per thread and traces only calls on one path; with a thread pool of one the same thread does the
// same work in every run, so that a count means the same call.

import type { Scenario } from './scenario.ts'
import { type Ended, Workspace } from './workspace.ts'

/** Whatever changes a file or makes a change durable. */
const CALLS =
  'write,pwrite64,writev,pwritev,fsync,fdatasync,rename,renameat,renameat2,ftruncate,unlink,unlinkat,link,mkdir'

export interface Call {
  readonly name: string
  /** In the folder; `.` is the folder itself. Of a rename: the old name. */
  readonly path: string
  /** By the thread that makes most of them. */
  readonly times: number
}

/** False where processes may not be traced; in CI that is an error, because nobody would see it. */
export async function canTrace(): Promise<boolean> {
  const place = await Workspace.create()
  try {
    const { code, stderr } = await place
      .execute(['strace', '-f', '-qq', '-o', '/dev/null', 'true'])
      .catch((error: Error) => ({ code: null, stderr: error.message }))
    if (code === 0) return true
    if (process.env.CI) throw new Error(`strace does not work here, and CI must not go without: ${stderr}`)
    process.stderr.write(`NOT TESTED: strace does not work here (${stderr.trim()})\n`)
    return false
  } finally {
    await place.remove()
  }
}

/** Every call that a run in a copy of the folder makes on a file in it, in order of first appearance. */
export async function callsOf(prepared: Workspace, { args = [] }: Scenario): Promise<Call[]> {
  const place = await prepared.copy()
  try {
    const under = ['strace', '-f', '-qq', '-y', '-s', '0', '-o', 'calls', '-e', `trace=${CALLS}`]
    const { code, stderr } = await place.bizon({ args, under, env: ONE_THREAD })
    if (code !== 0) throw new Error(`traced, the run ended with ${code}: ${stderr}`)
    const calls = new Map<string, Call>()
    const byThread = new Map<string, number>()
    for (const line of (await place.read('calls'))?.toString().split('\n') ?? []) {
      // `123 fsync(5</folder/file>)` or `123 rename("/folder/old", …`
      const match = /^(\d+) +(\w+)\((?:\d+<([^>]+)>|"([^"]+)")/.exec(line)
      const [thread, name = '', file] = [match?.[1], match?.[2], match?.[3] ?? match?.[4]]
      if (file !== place.folder && !file?.startsWith(`${place.folder}/`)) continue
      const path = file.slice(place.folder.length + 1) || '.'
      const key = `${name} ${path}`
      const times = (byThread.get(`${thread} ${key}`) ?? 0) + 1
      byThread.set(`${thread} ${key}`, times)
      calls.set(key, { name, path, times: Math.max(times, calls.get(key)?.times ?? 0) })
    }
    return [...calls.values()]
  } finally {
    await place.remove()
  }
}

/** Runs until the `at`-th call, which is not carried out: the process is killed (`signal=SIGKILL`) or told it failed (`error=EIO`). */
export async function interfere(
  place: Workspace,
  { args = [] }: Scenario,
  { name, path }: Pick<Call, 'name' | 'path'>,
  at: number,
  what: `signal=${string}` | `error=${string}`,
  program?: string,
): Promise<Ended> {
  const under = ['strace', '-f', '-qq', '-o', '/dev/null', '-P', path === '.' ? place.folder : place.path(path)]
  under.push('-e', `trace=${name}`, '-e', `inject=${name}:${what}:when=${at}`)
  return place.bizon({ args, under, env: ONE_THREAD, ...(program !== undefined && { program }) })
}

const ONE_THREAD = { UV_THREADPOOL_SIZE: '1' }
