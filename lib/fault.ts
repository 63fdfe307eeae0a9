// Named points where tests make a process fail. Inert unless BIZON_FAILPOINT is set:
//   BIZON_FAILPOINT=<name>[@<n>]:<action>     n: at its n-th passing, from 1 (default 1)
// Actions: kill (SIGKILL to self), stop (SIGSTOP to self, until SIGCONT), throw.
// The names are those of the steps of a run; see docs/delivery.md.

import { BizonError } from './errors.ts'

interface Fault {
  readonly name: string
  readonly action: string
  countdown: number
}

let armed: Fault | null | undefined

/** Passes the named point; dies, stops or throws there when a test asked for it. */
export function faultPoint(name: string): void {
  if (armed === null) return
  const fault = armed === undefined ? parse(process.env.BIZON_FAILPOINT) : armed
  armed = fault
  if (fault === null || fault.name !== name || --fault.countdown > 0) return
  armed = null
  if (fault.action === 'throw') throw new BizonError('internal', `fault injected at ${name}`)
  process.kill(process.pid, fault.action === 'stop' ? 'SIGSTOP' : 'SIGKILL')
}

function parse(text: string | undefined): Fault | null {
  if (!text) return null
  const match = /^([a-z_.]+)(?:@(\d+))?:(kill|stop|throw)$/.exec(text)
  if (!match) {
    throw new BizonError('usage', `BIZON_FAILPOINT: ${JSON.stringify(text)} is not <name>[@<n>]:<kill|stop|throw>`)
  }
  return {
    name: match[1] as string,
    countdown: Number(match[2] ?? 1),
    action: match[3] as string,
  }
}
