// Options that several commands have, each with one meaning.

import { Option } from 'commander'
import { LOG_LEVELS } from '../../lib/log.ts'
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
