// Options that several commands have, each with one meaning.

import { InvalidArgumentError, Option } from 'commander'
import { LOG_LEVELS } from '../../lib/log.ts'
import { LEAST_MEMORY_BYTES } from '../../lib/memory.ts'
import { requireFile } from '../program.ts'

export function customSourceOption(): Option {
  return new Option('--custom-source <path>', 'read from the source defined in this file (source.source_file_path)')
}

export function customDestinationOption(): Option {
  return new Option(
    '--custom-destination <path>',
    'write to the destination defined in this file (destination.destination_file_path)',
  )
}

export function logLevelOption(): Option {
  return new Option('--log-level <level>', 'least level to log (default: engine.runner.log_level of the file)').choices(
    LOG_LEVELS,
  )
}

export function recordOption(): Option {
  return new Option(
    '--record <path>',
    'keep what the source asks over HTTP, and the answers, in this new file',
  ).conflicts('replay')
}

export function replayOption(): Option {
  return new Option('--replay <path>', 'answer the source from such a file instead of the network')
}

export function logFormatOption(): Option {
  return new Option('--log-format <format>', 'form of the log (default: pretty on a terminal, else json)').choices([
    'pretty',
    'json',
  ])
}

export function envFileOption(): Option {
  return new Option('--env-file <path>', 'read variables from this file instead of .env; those already set win')
}

export function quietOption(): Option {
  return new Option('-q, --quiet', 'no progress, no summary: warnings and errors only')
}

/** For what this process takes; see lib/memory.ts. */
export function maxMemoryOption(): Option {
  return new Option(
    '--max-memory <size>',
    'most memory that the process takes, such as 150M or 2G (from 128M); what needs more fails (default: as much as it needs)',
  ).argParser(bytesOf)
}

const UNITS = { M: 1 << 20, G: 1 << 30 } as const

function bytesOf(text: string): number {
  const { digits, unit } = /^(?<digits>\d+)(?<unit>[MG])(i?B)?$/i.exec(text)?.groups ?? {}
  const bytes = Number(digits) * UNITS[unit?.toUpperCase() as keyof typeof UNITS]
  if (bytes >= LEAST_MEMORY_BYTES && Number.isSafeInteger(bytes)) return bytes
  throw new InvalidArgumentError(`expected a size from ${LEAST_MEMORY_BYTES / UNITS.M}M, such as 150M or 2G.`)
}

/** How `bizon chaos` has a pipeline tried elsewhere; see lib/chaos/scratch.ts. */
export function scratchOption(): Option {
  return new Option('--scratch <folder>', 'keep the state, and what is loaded, in this folder').hideHelp()
}

/** Which of these options name a file that must be there. */
const FILES = {
  envFile: '--env-file',
  customSource: '--custom-source',
  replay: '--replay',
  customDestination: '--custom-destination',
} as const

/** Looks whether the files are there that the options name. */
export function requireFiles(options: { readonly [Name in keyof typeof FILES]?: string | undefined }): void {
  for (const [name, flag] of Object.entries(FILES)) {
    const path = options[name as keyof typeof FILES]
    if (path !== undefined) requireFile(path, flag)
  }
}
