// docs/cli.md: the help of every command, as the built programs print it.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CHECKOUT } from '../support/sandbox.ts'
import { GENERATED } from './page.ts'

export interface Help {
  /** `bizon stream list`. */
  readonly command: string
  readonly text: string
  /** Whether it only holds other commands. */
  readonly isGroup: boolean
}

const PROGRAMS = ['bizon', 'bizon-extract', 'bizon-load']

/** Every command there is, found by asking: each one's help lists those below it. */
export async function everyHelp(): Promise<readonly Help[]> {
  const found = await Promise.all(PROGRAMS.map((program) => helpBelow([program])))
  return found.flat()
}

async function helpBelow(command: readonly [string, ...string[]]): Promise<readonly Help[]> {
  const [program, ...words] = command
  const built = join(CHECKOUT, 'dist', 'bin', `${program}.js`)
  const env = { ...process.env, NO_COLOR: '1', COLUMNS: '80' }
  const { stdout } = await promisify(execFile)(process.execPath, [built, ...words, '--help'], { env })
  const [, commands = ''] = /^Commands:\n((?: .*\n)+)/m.exec(stdout) ?? []
  const below = [...commands.matchAll(/^ {2}(\w[\w-]*)/gm)].map((match) => String(match[1]))
  const inner = await Promise.all(below.map((word) => helpBelow([...command, word])))
  return [{ command: command.join(' '), text: stdout, isGroup: below.length > 0 }, ...inner.flat()]
}

export function cliPage(help: readonly Help[]): string {
  const contents = help.map(({ command, text }) => `| [\`${command}\`](#${anchor(command)}) | ${summaryOf(text)} |`)
  return `${[
    GENERATED,
    INTRODUCTION,
    ['| Command | |', '| --- | --- |', ...contents].join('\n'),
    ...help.map(({ command, text }) => `## \`${command}\`\n\n\`\`\`text\n${text.trimEnd()}\n\`\`\``),
  ].join('\n\n')}\n`
}

/** As GitHub makes it of a heading. */
const anchor = (command: string): string => command.replaceAll(' ', '-')

/** What stands between the usage and the next part. */
export function summaryOf(text: string): string {
  const [, summary = ''] = text.split('\n\n')
  return summary.replaceAll(/\s+/g, ' ').trim()
}

const INTRODUCTION = `# Commands

Every command with its help, as the programs print it. Results go to standard output, everything else to standard error.

| Exit code | Means |
| --- | --- |
| 0 | done |
| 1 | failed |
| 2 | wrong usage, or a pipeline file that is not valid |
| 3 | another run of the same pipeline holds the lock |
| 129, 130, 143 | stopped by SIGHUP, SIGINT, SIGTERM, at a checkpoint; the next run goes on from there |`
