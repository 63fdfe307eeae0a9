// Where the files of one pipeline target are. A destination id is a path without extension, relative to the
// working directory. Inside the state file an id is relative to that file's folder, so that the folder may be moved.

import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { BizonError } from '../../../lib/errors.ts'
import { type Held, isDirect } from '../recovery.ts'
import type { Format } from './format.ts'

type PathFormat = Pick<Format, 'extension' | 'label' | 'header' | 'firstColumn'>

type Staged = Pick<Held, 'mode' | 'direct'>

const SUFFIX = { full_refresh: '_temp', incremental: '_incremental', stream: '' } as const

export class Paths {
  /** Holds the state file and the lock, and usually everything else. */
  readonly folder: string
  /** The configured target, as the state file names it. */
  readonly target: string
  readonly sidecar: string
  readonly lock: string
  readonly #format: PathFormat
  readonly #claimed = new Map<string, string>()

  /** `destinationId` is the configured one, with `{stream}` filled in. */
  constructor(destinationId: string, format: PathFormat) {
    this.#format = format
    const { label } = format
    if (!namesFile(destinationId)) throw notAFile(destinationId, 'config')
    const path = resolve(destinationId)
    this.folder = dirname(path)
    this.target = basename(path)
    this.sidecar = join(this.folder, `.${this.target}${label}.state.json`)
    this.lock = join(this.folder, `.${this.target}${label}.lock`)
    this.#claimed.set(this.sidecar, 'the state file')
  }

  /** Rejects a target whose files are another's: `a_temp` is published where `a` is staged. */
  claim(key: string, state: Staged): void {
    const paths = new Set([this.main(key), this.staging(key, state)])
    for (const path of paths) {
      const owner = this.#claimed.get(path)
      if (owner === undefined) continue
      throw new BizonError(
        'destination',
        `destination id ${JSON.stringify(key)} needs ${path}, which is for ${owner}`,
        {
          hint: 'Give one of them another destination id.',
        },
      )
    }
    for (const path of paths) this.#claimed.set(path, `destination id ${JSON.stringify(key)}`)
  }

  /**
   * The key of an id that a record asked for. Records are data, and data does not get to write anywhere:
   * only below the working directory and below the configured target's folder.
   */
  key(destinationId: string): string {
    if (!namesFile(destinationId)) throw notAFile(destinationId, 'invalid_record')
    const path = resolve(destinationId)
    if (!isInside(path, this.folder) && !isInside(path, process.cwd())) {
      throw new BizonError(
        'invalid_record',
        `destination id ${JSON.stringify(destinationId)} is outside ${this.folder}`,
        {
          hint: 'A record may name files below the working directory or below the folder of destination_id.',
        },
      )
    }
    return relative(this.folder, path)
  }

  /** What readers see. */
  main(key: string): string {
    return join(this.folder, key) + this.#format.extension
  }

  /** Where rows wait until they are published; where they are to be seen at once there is no waiting. */
  staging(key: string, state: Staged): string {
    return join(this.folder, key) + (isDirect(state) ? '' : SUFFIX[state.mode]) + this.#format.extension
  }

  /** What each line of its files begins with; undefined: whatever the record begins with. */
  get firstColumn(): string | undefined {
    return this.#format.firstColumn
  }

  /** What its files begin with. */
  header(key: string): Buffer {
    return this.#format.header((id) => relative(this.folder, resolve(id)) === key)
  }
}

/** Relative to the working directory, unless that means climbing out of it. */
export function shortest(path: string): string {
  const way = relative('', resolve(path))
  return way.startsWith(`..${sep}`) ? path : way
}

function namesFile(id: string): boolean {
  return id !== '' && !/[/\\]$/.test(id) && !id.includes('\0') && !['.', '..'].includes(basename(id))
}

function notAFile(id: string, code: 'config' | 'invalid_record'): BizonError {
  return new BizonError(code, `destination id ${JSON.stringify(id)} does not name a file`, {
    hint: 'It is a path without extension, such as out/weather; an extension such as .json is added to it.',
  })
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path)
  return !isAbsolute(way) && way !== '..' && !way.startsWith(`..${sep}`)
}
