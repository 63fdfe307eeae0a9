// Inline JavaScript: a function body, compiled once, run in a context of its own that has the language, a console and
// little more. That keeps accidents out; it is no fence against malice: whoever writes the config is trusted.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { format } from 'node:util'
import { Script as Code, type Context, compileFunction, createContext } from 'node:vm'
import type { Log } from '../log.ts'
import { type SourceRecord, textOf } from '../record.ts'
import type { TransformConfig } from './config.ts'
import { clone, nameOf, type Realm, readable } from './numbers.ts'
import {
  brokenScript,
  infoOf,
  type RecordInfo,
  recordsOf,
  type Script,
  ScriptError,
  TURN_MS,
  thrownIn,
} from './script.ts'

/** How the script is called in the stacks of its errors. */
const FILE = 'bizon-transform'

type Apply = (data: unknown, record: RecordInfo) => { readonly returned: unknown; readonly data: unknown }

/** Throws if the script is not valid. */
export function openJavascript({ label, script, timeoutSeconds }: TransformConfig, log: Log): Script {
  const context = createContext({ ...TOOLS, console: consoleTo(log, label) }, { name: label })
  const realm = REALM.runInContext(context) as Realm
  context.structuredClone = (value: unknown) => clone(value, realm)
  const apply = compile(script, label, context)
  const within = timeLimit()

  const one = (given: SourceRecord): SourceRecord[] => {
    const reading = readable(textOf(given.data), realm)
    const info = infoOf(given, realm)
    const { returned, data } = apply(reading.value, info)
    if (nameOf(returned) === 'a Promise') {
      // Nobody waits for it: that it is rejected must not end the process.
      ;(returned as Promise<unknown>).then(undefined, () => {})
      throw new ScriptError('it returned a promise; what waits for something is written as a module')
    }
    return recordsOf(returned === undefined ? data : returned, info, reading)
  }

  return {
    async apply(records, reject, signal) {
      const made: SourceRecord[] = []
      let at = 0
      while (at < records.length) {
        // Of each record in turn. It may be cut off anywhere, so that nothing in it is done in two steps.
        const results: (SourceRecord[] | ScriptError)[] = []
        const turn = (): void => {
          const over = performance.now() + TURN_MS
          while (at + results.length < records.length && performance.now() < over) {
            results.push(tried(() => one(records[at + results.length] as SourceRecord), script))
          }
        }
        // What is cut off had the whole limit for itself: a turn that has lasted TURN_MS starts no record.
        if (!within(turn, TURN_MS + timeoutSeconds * 1000)) {
          results.push(new ScriptError(`it took longer than ${timeoutSeconds} s`))
        }
        for (const result of results) {
          if (result instanceof ScriptError) reject(records[at] as SourceRecord, result)
          else for (const record of result) made.push(record)
          at += 1
        }
        if (at < records.length) await nextTurn()
        signal.throwIfAborted()
      }
      return made
    },
  }
}

function tried<T>(work: () => T, script: string): T | ScriptError {
  try {
    return work()
  } catch (error) {
    return thrownIn(error, script, FILE)
  }
}

function compile(script: string, label: string, context: Context): Apply {
  try {
    // By itself first: what would only be valid together with the text around it is not, and a `var data` of the
    // script's own would hide what is assigned to it.
    compileFunction(`'use strict';let data, record;${script}`, [], { filename: FILE })
    // An arrow function, so that what is assigned to `data` can be seen from outside. It starts on the first line.
    const whole = `(function (data, record) {'use strict';const returned = (() => {${script}\n})(); return { returned, data }})`
    return new Code(whole, { filename: FILE }).runInContext(context) as Apply
  } catch (error) {
    throw brokenScript(label, thrownIn(error, script, FILE))
  }
}

const REALM = new Code(
  '({ parse: JSON.parse, objectOf: Object.fromEntries, listOf: (items) => Array.from(items), Date })',
)

/** What is everywhere, and touches nothing outside. */
const TOOLS = { URL, URLSearchParams, TextEncoder, TextDecoder, atob, btoa }

function consoleTo(log: Log, label: string) {
  const say =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (...values: unknown[]): void =>
      log[level](`transform ${label}: ${format(...values)}`)
  return { log: say('info'), debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') }
}

/** Runs some work and ends it, wherever it is, when its time is over; false says that this happened. */
function timeLimit(): (work: () => void, milliseconds: number) => boolean {
  const holder = { work: (): void => {} }
  const context = createContext(holder)
  const call = new Code('work()')
  return (work, milliseconds) => {
    holder.work = work
    try {
      call.runInContext(context, { timeout: Math.ceil(milliseconds) })
      return true
    } catch (error) {
      // An Error of the other context.
      if ((error as { code?: unknown } | undefined)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return false
      throw error
    }
  }
}
