// The transforms of a config, opened for one run: each script ready to work, in list order, and what becomes of the
// records they fail on. Whoever opens them closes them, and then no process of theirs is left.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { DeadLetters } from './dead-letter.ts'
import { BizonError, messageOf } from './errors.ts'
import type { Log } from './log.ts'
import { type SourceRecord, textOf } from './record.ts'
import { redactor } from './redact.ts'
import type { TransformConfig } from './transform/config.ts'
import { oneLine, type Script, type ScriptError } from './transform/script.ts'
import type { Transform } from './transform.ts'

export interface TransformOptions {
  readonly log: Log
  readonly signal: AbortSignal
  /** Not to be written beside a failed record. */
  readonly secrets?: readonly string[]
  /** Told how many records come to the transform at this place of the list. */
  readonly given?: ((at: number, records: number) => void) | undefined
  /** Told of each record that a script fails on, instead of what `on_error` says. */
  readonly rejected?: (config: TransformConfig, record: SourceRecord, error: ScriptError) => void
}

export interface OpenTransforms {
  /** All of them as one step; none for an empty list. */
  readonly steps: readonly Transform[]
  /** Says how many records failed, and ends what was opened. */
  close(): Promise<void>
}

/** Rejects if a script is not valid, or cannot be run here. Does nothing for an empty list. */
export async function openTransforms(
  configs: readonly TransformConfig[],
  options: TransformOptions,
): Promise<OpenTransforms> {
  const scripts = await openScripts(configs, options)
  const steps = configs.map((config, at) => ({
    script: scripts.each[at] as Script,
    failures: new Failures(config, options),
  }))
  const apply: Transform = async (given, signal) => {
    let records = given
    for (const [at, { script, failures }] of steps.entries()) {
      if (records.length === 0) break
      options.given?.(at, records.length)
      records = await script.apply(records, failures.reject, signal)
      await failures.settle()
    }
    return records
  }
  return {
    steps: steps.length === 0 ? [] : [apply],
    async close() {
      for (const { failures } of steps) failures.finish()
      await scripts.close()
    },
  }
}

async function openScripts(configs: readonly TransformConfig[], { log, signal }: TransformOptions) {
  const each: Script[] = []
  const close = async (): Promise<void> => {
    for (const script of each) await script.close?.()
  }
  try {
    const python = configs.filter(({ kind }) => kind === 'python')
    const pythonScripts =
      python.length > 0 ? await (await import('./transform/python.ts')).openPython(python, log, signal) : []
    for (const config of configs) {
      if (config.kind === 'python') each.push(pythonScripts[python.indexOf(config)] as Script)
      else if (config.kind === 'module') each.push(await (await import('./transform/module.ts')).openModule(config))
      else each.push((await import('./transform/javascript.ts')).openJavascript(config, log))
    }
    return { each, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** A script's pipeline has two configs, of which one may be another file: the transforms are those of either. */
export function transformsOf(
  one: readonly TransformConfig[],
  other: readonly TransformConfig[],
): readonly TransformConfig[] {
  if (one.length === 0 || other.length === 0) return one.length === 0 ? other : one
  if (JSON.stringify(one) === JSON.stringify(other)) return one
  throw new BizonError('usage', 'pipeline: the configs of extract and load have different transforms', {
    hint: 'Keep them in one of the two.',
  })
}

/** What becomes of the records that one script fails on. */
class Failures {
  readonly #config: TransformConfig
  readonly #options: TransformOptions
  readonly #letters: DeadLetters
  #count = 0

  constructor(config: TransformConfig, options: TransformOptions) {
    this.#config = config
    this.#options = options
    const key = `dead_letter_path of transform ${config.label}`
    this.#letters = new DeadLetters({ path: config.deadLetterPath, code: 'transform', key })
  }

  reject = (record: SourceRecord, error: ScriptError): void => {
    const { rejected, secrets = [] } = this.#options
    if (rejected) {
      rejected(this.#config, record, error)
      return
    }
    const { label, onError } = this.#config
    if (onError === 'fail') throw failedOn(record, label, error)
    this.#count += 1
    if (onError === 'skip') return
    const { line, summary } = error
    const about = JSON.stringify({ id: record.id, label, ...(line !== undefined && { line }), error: summary })
    this.#letters.add(`${redactor(secrets)(about.slice(0, -1))},"record":${oneLine(textOf(record.data))}}`)
  }

  settle(): Promise<void> {
    return this.#letters.settle()
  }

  finish(): void {
    if (this.#count === 0) return
    const { label, onError, deadLetterPath } = this.#config
    const what = this.#count === 1 ? '1 record' : `${this.#count} records`
    const where = onError === 'skip' ? 'skipped' : `written to ${deadLetterPath} instead`
    this.#options.log.warn(
      `transform ${label} failed on ${what}, ${this.#count === 1 ? 'which was' : 'which were'} ${where}`,
    )
    this.#count = 0
  }
}

function failedOn({ id }: SourceRecord, label: string, error: ScriptError): BizonError {
  const place = error.line === undefined ? '' : `, line ${error.line}`
  return new BizonError('transform', `transform ${label}${place}, record ${JSON.stringify(id)}: ${error.summary}`, {
    cause: error,
    hint: 'Correct the script, or set on_error to skip or dead_letter to load the other records without it.',
  })
}

/**
 * What makes records other ones: scripts, and the text of modules. How failures are handled is left out, so that a
 * run that failed goes on after `on_error` was changed.
 */
export async function scriptsOf(configs: readonly TransformConfig[]): Promise<readonly (readonly string[])[]> {
  return Promise.all(
    configs.map(async ({ label, kind, script }) => {
      if (kind !== 'module') return [kind, script]
      const content = await readFile(script).catch((cause: unknown) => {
        throw new BizonError('transform', `transform ${label}: cannot read ${script}: ${messageOf(cause)}`, { cause })
      })
      return [kind, script, createHash('sha256').update(content).digest('hex')]
    }),
  )
}
