// Waits for signals as a run does, and tells on stdout what it was asked for.

import { watchSignals } from '../../../bin/signals.ts'

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const signals = watchSignals({ note: say })
signals.stop.addEventListener('abort', () => say(`stop, exit code ${signals.exitCode()}`))
signals.abort.addEventListener('abort', () => say(`abort, exit code ${signals.exitCode()}`))
if (process.argv[2] === 'dispose') signals[Symbol.dispose]()
say('ready')
setInterval(() => {}, 60_000)
