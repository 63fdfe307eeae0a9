// bizon transform try: what the transforms of a pipeline make of some records, without a source and a destination.

import type { Command } from 'commander'
import { BizonError } from '../../lib/errors.ts'
import type { Tried } from '../../lib/transform/try.ts'
import { addCommand, requireFile } from '../program.ts'
import { watchSignals } from '../signals.ts'
import type { Terminal } from '../terminal.ts'
import { envFileOption, requireFiles } from './options.ts'

interface TryOptions {
  readonly envFile?: string
}

export function addTransform(program: Command, terminal: Terminal): void {
  const example = {
    what: 'what becomes of the first records of a file',
    run: 'head -n 3 examples/data/events.ndjson | bizon transform try examples/transform.yml',
  }
  const group = addCommand(program, 'transform', 'Transforms of a pipeline file.', [example])
  addCommand(group, 'try', 'Show what the transforms of a pipeline make of the records on standard input.', [
    example,
    {
      what: 'only what comes out, to go on with',
      run: "head -n 3 examples/data/events.ndjson | bizon transform try examples/transform.yml | jq -c '.after[]'",
    },
  ])
    .argument('<FILENAME>', 'the pipeline, a YAML file')
    .addOption(envFileOption())
    .action(async (filename: string, options: TryOptions) => {
      requireFile(filename)
      requireFiles(options)
      process.exitCode = await tryOut(filename, options, terminal)
    })
}

async function tryOut(filename: string, { envFile }: TryOptions, terminal: Terminal): Promise<number> {
  const { loadConfig } = await import('../../lib/config.ts')
  const { tryTransforms } = await import('../../lib/transform/try.ts')
  const config = await loadConfig(filename, [], { envFile })
  terminal.conceal(config.secrets)
  if (process.stdin.isTTY) {
    throw new BizonError('usage', 'bizon transform try: records are read from standard input, one JSON object a line', {
      hint: `bizon transform try ${filename} < sample.ndjson`,
    })
  }
  if (config.transforms.length === 0) {
    throw new BizonError('usage', `${filename} has no transforms`, { hint: 'add a list under transforms:' })
  }
  const signals = watchSignals({ note: () => {} })
  const signal = AbortSignal.any([signals.stop, signals.abort])
  const show = process.stdout.isTTY ? shown : asJson
  let failed = 0
  try {
    const log = terminal.log({ level: config.engine.runner.logLevel })
    for await (const tried of tryTransforms(config.transforms, process.stdin, { log, signal })) {
      if (tried.error !== undefined && tried.fails) failed += 1
      terminal.print(show(tried))
    }
  } catch (error) {
    const interrupted = signals.exitCode()
    if (interrupted === undefined) throw error
    return interrupted
  } finally {
    process.stdin.destroy()
    signals[Symbol.dispose]()
  }
  if (failed === 0) return 0
  const what = failed === 1 ? '1 record' : `${failed} records`
  return terminal.fail(new BizonError('transform', `${what} would end the run`))
}

/** One JSON object a line; the records' own text in it as it is. */
function asJson({ line, before, after, error }: Tried): string {
  const given = before === undefined ? '' : `,"before":${before}`
  const failure = error === undefined ? '' : `,"error":${JSON.stringify(error)}`
  return `{"line":${line}${given},"after":[${after.join(',')}]${failure}}`
}

function shown({ line, before, after, error }: Tried): string {
  const results = error === undefined ? (after.length === 0 ? ['(dropped)'] : after) : [`(failed) ${error}`]
  return [`${line}  - ${before ?? ''}`, ...results.map((text) => `${' '.repeat(String(line).length)}  + ${text}`)].join(
    '\n',
  )
}
