// What all programs share: how help looks, how a wrong command line is answered, and the last word on exit codes.
// Nothing here loads the engine, so that --help answers at once; commands import it when they run.

import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { Command, CommanderError } from 'commander'
import { BizonError, messageOf, systemCode } from '../lib/errors.ts'
import manifest from '../package.json' with { type: 'json' }
import { createTerminal, type Terminal } from './terminal.ts'

export const version: string = manifest.version

/** A program or a group of commands with the habits all of them share. */
export function createProgram(name: string, description: string): Command {
  return settle(new Command(name))
    .description(description)
    .version(version, '--version', 'print the version')
    .exitOverride()
    .configureOutput({
      writeOut: writeHelp,
      outputError: (text, write) =>
        write(text.replace(/^error: /, 'Error: ').replace(/\n\(Did you mean (.*)\?\)/, '; did you mean $1?')),
    })
}

/** Standard output is not touched before there is something for it: where it carries data, that would slow it down. */
function writeHelp(text: string): void {
  // A reader that has seen enough (`| head`) is no error.
  process.stdout.once('error', (error) => {
    if (systemCode(error) !== 'EPIPE') throw error
  })
  process.stdout.write(text)
}

/** A command below `parent`: one sentence, what else there is to say, and examples that can be run as they stand. */
export function addCommand(
  parent: Command,
  usage: string,
  description: string,
  examples: readonly Example[],
  more?: string,
): Command {
  const command = settle(parent.command(usage)).description(description)
  if (more !== undefined) command.addHelpText('after', more)
  return command.addHelpText('after', examplesText(examples))
}

/** What a broker does for a command, before its examples. */
export function brokerText(...lines: readonly string[]): string {
  return `\nMessage broker:\n${lines.map((line) => `  ${line}`).join('\n')}`
}

export interface Example {
  readonly what: string
  readonly run: string
}

export function examplesText(examples: readonly Example[]): string {
  return `\nExamples:\n${examples.map(({ what, run }) => `  # ${what}\n  ${run}`).join('\n\n')}`
}

function settle(command: Command): Command {
  const path = [command.name()]
  for (let above = command.parent; above; above = above.parent) path.unshift(above.name())
  return command
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .showHelpAfterError(`Try: ${path.join(' ')} --help`)
}

/** Looked at before anything else, so that a mistyped name is answered at once. */
export function requireFile(path: string, what = ''): string {
  const prefix = what && `${what}: `
  try {
    if (statSync(path).isDirectory())
      throw new BizonError('usage', `${prefix}${path} is a folder; a file is needed`, { hint: `ls ${path}` })
  } catch (error) {
    if (error instanceof BizonError) throw error
    const code = systemCode(error)
    const reason = code === 'ENOENT' || code === 'ENOTDIR' ? 'no such file' : String(error)
    const hint = `ls ${dirname(path)}`
    throw new BizonError('usage', `${prefix}${path}: ${reason}`, { cause: error, hint })
  }
  return path
}

/** A result, to the file of `--out` or to standard output. */
export async function writeOut(text: string, out: string | undefined, terminal: Terminal): Promise<void> {
  if (out === undefined) return terminal.print(text)
  const { writeFile } = await import('node:fs/promises')
  try {
    await writeFile(out, `${text}\n`)
  } catch (error) {
    throw new BizonError('usage', `--out: cannot write ${out}: ${messageOf(error)}`, { cause: error })
  }
}

/**
 * Runs a program to its exit code. The process ends by itself once nothing is left to do or to print. `data`: standard
 * output carries data and nothing else, so that all words go to standard error.
 */
export async function main(build: (terminal: Terminal) => Command, { data = false } = {}): Promise<void> {
  const { stderr, env } = process
  const terminal = createTerminal({ stdout: data ? stderr : process.stdout, stderr, env })
  process.on('uncaughtException', (error) => {
    process.exitCode = terminal.fail(error, { stack: !(error instanceof BizonError) })
    process.exit()
  })
  try {
    await build(terminal).parseAsync()
  } catch (error) {
    process.exitCode =
      error instanceof CommanderError
        ? usageExitCode(error)
        : terminal.fail(error, { stack: !(error instanceof BizonError) })
  }
}

/** Commander has printed by now. Help and version that were asked for are results, the rest is wrong usage. */
function usageExitCode(error: CommanderError): 0 | 2 {
  return error.code === 'commander.helpDisplayed' || error.code === 'commander.version' ? 0 : 2
}
