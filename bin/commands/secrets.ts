// bizon secrets check: whether every reference of a pipeline file can be looked up, before a run needs it.

import type { Command } from 'commander'
import { pathText } from '../../lib/config/problems.ts'
import { BizonError } from '../../lib/errors.ts'
import type { Occurrence } from '../../lib/references.ts'
import { addCommand, requireFile } from '../program.ts'
import type { Terminal } from '../terminal.ts'
import { envFileOption, requireFiles } from './options.ts'

interface CheckOptions {
  readonly envFile?: string
}

export function addSecrets(program: Command, terminal: Terminal): void {
  const example = { what: 'look up each reference of a file', run: 'bizon secrets check examples/weather.yml' }
  const group = addCommand(program, 'secrets', 'References to secrets in a pipeline file.', [example])
  addCommand(group, 'check', 'Look up every env://, gsm:// and file:// of a pipeline; no value is shown.', [example])
    .argument('<FILENAME>', 'the pipeline, a YAML file')
    .addOption(envFileOption())
    .action(async (filename: string, options: CheckOptions) => {
      requireFile(filename)
      requireFiles(options)
      await check(filename, options, terminal)
    })
}

async function check(filename: string, options: CheckOptions, terminal: Terminal): Promise<void> {
  const { lookUpReferences } = await import('../../lib/config.ts')
  const { occurrences, secrets } = await lookUpReferences(filename, options)
  terminal.conceal(secrets)
  if (occurrences.length === 0) {
    terminal.print(`${filename} has no references.`)
    return
  }
  for (const line of linesOf(occurrences)) terminal.print(line)
  const failed = occurrences.filter(({ problem }) => problem !== undefined)
  if (failed.length > 0) {
    throw new BizonError('references', `${failed.length} of ${counted(occurrences)} cannot be looked up`, {
      hint: failed.find(({ hint }) => hint !== undefined)?.hint,
    })
  }
  terminal.print(`${capital(counted(occurrences))} can be looked up.`, 'green')
}

/** Where it stands, how it is written, and whether it could be looked up, in columns. */
function linesOf(occurrences: readonly Occurrence[]): readonly string[] {
  const rows = occurrences.map(({ path, text, problem }) => [pathText(path), text, problem] as const)
  const wide = (column: 0 | 1) => Math.max(...rows.map((row) => row[column].length))
  const [paths, texts] = [wide(0), wide(1)]
  return rows.map(([path, text, problem]) => {
    const outcome = problem === undefined ? '✓' : `✗  ${problem}`
    return `${path.padEnd(paths)}   ${text.padEnd(texts)}   ${outcome}`
  })
}

const counted = ({ length }: readonly unknown[]): string => (length === 1 ? '1 reference' : `${length} references`)
const capital = (text: string): string => (text.startsWith('1 ') ? text : `All ${text}`)
