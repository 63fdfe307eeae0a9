// Named points where tests, and `bizon chaos`, make a process fail. Inert unless one of these is set:
//   BIZON_FAILPOINT=<name>[@<n>]:<action>     n: at its n-th passing, from 1 (default 1)
//   BIZON_FAULTS_TO=<path>                    a line for each passing is added to this file
// Actions: kill (SIGKILL to self), term (SIGTERM to self), stop (SIGSTOP to self, until SIGCONT), throw, enospc (fail as a
// write to a full disk does), cut (all connections to servers, see `cuttable`).
// The names are those of the steps of a run; see docs/delivery.md.

import { appendFileSync } from 'node:fs'
import { BizonError } from './errors.ts'

interface Fault {
  readonly name: string
  readonly action: string
  countdown: number
}

let armed: Fault | null | undefined
let log: string | null | undefined

const SIGNALS: Readonly<Record<string, NodeJS.Signals>> = { kill: 'SIGKILL', term: 'SIGTERM', stop: 'SIGSTOP' }

/** Passes the named point; dies, stops or throws there when a test asked for it. */
export function faultPoint(name: string): void {
  if (armed === null && log === null) return
  if (armed === undefined) {
    armed = parse(process.env.BIZON_FAILPOINT)
    log = process.env.BIZON_FAULTS_TO || null
  }
  if (log) appendFileSync(log, `${name}\n`)
  const fault = armed ?? null
  if (fault === null || fault.name !== name || --fault.countdown > 0) return
  armed = null
  if (fault.action === 'throw') throw new BizonError('internal', `fault injected at ${name}`)
  if (fault.action === 'enospc') throw diskFull()
  if (fault.action === 'cut') cutAll(name)
  else process.kill(process.pid, SIGNALS[fault.action])
}

const connections = new Set<() => void>()

/** For action `cut`: cuts a connection to a server, as a network does, without a word to either side. Returns what forgets it. */
export function cuttable(cut: () => void): () => void {
  connections.add(cut)
  return () => connections.delete(cut)
}

function cutAll(name: string): void {
  if (connections.size === 0) throw new BizonError('usage', `BIZON_FAILPOINT: no connection is open at ${name}`)
  for (const cut of [...connections]) cut()
}

function diskFull(): NodeJS.ErrnoException {
  const message = 'ENOSPC: no space left on device, write'
  return Object.assign(new Error(message), { code: 'ENOSPC', errno: -28, syscall: 'write' })
}

function parse(text: string | undefined): Fault | null {
  if (!text) return null
  const match = /^([a-z_.]+)(?:@(\d+))?:(kill|term|stop|throw|enospc|cut)$/.exec(text)
  if (!match) {
    const form = '<name>[@<n>]:<kill|term|stop|throw|enospc|cut>'
    throw new BizonError('usage', `BIZON_FAILPOINT: ${JSON.stringify(text)} is not ${form}`)
  }
  return {
    name: match[1] as string,
    countdown: Number(match[2] ?? 1),
    action: match[3] as string,
  }
}
