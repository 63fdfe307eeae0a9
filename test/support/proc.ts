// What the kernel says of a process, on Linux.

import { readdir, readFile } from 'node:fs/promises'

/** Memory that is its own, in MiB: not what it has mapped of files, which the kernel may take back. */
export async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^RssAnon:\s*(\d+) kB$/m.exec(status)?.[1]) / 1024
}

/** Seconds of one core that it has used so far, all its threads together. */
export async function cpuOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // Behind its name, which may hold anything, in parentheses: state, then from the twelfth on utime and stime.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** `sysconf(_SC_CLK_TCK)`: the same on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

/** How often its main thread has waited for something and gone on so far: an interval of a millisecond shows on any machine. */
export async function wakeupsOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)?.[1])
}

/** How many files and sockets it holds open. */
export async function openFilesOf(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length
}
