// Tables that a tap sends whole: each of their records has a version, and ACTIVATE_VERSION says that the rows of all
// others go. What is published then is what came, so that it must be all there is: see docs/decisions.md.

import { BizonError } from '../errors.ts'

interface Version {
  version: string
  /** Whether ACTIVATE_VERSION is the last that was said of it. */
  active: boolean
}

export class Versions {
  readonly #replaces: boolean
  readonly #streams = new Map<string, Version | undefined>()

  /** `replaces`: what is published in the end takes the place of what was there. */
  constructor(replaces: boolean) {
    this.#replaces = replaces
  }

  /** A stream is described. */
  describe(stream: string): void {
    if (!this.#streams.has(stream)) this.#streams.set(stream, undefined)
  }

  /** Records of it come. */
  record(stream: string, version: string | undefined, number: number): void {
    if (!this.#replaces && version === undefined) return
    const known = this.#streams.get(stream)
    if (!this.#replaces)
      throw refused(number, `a record of ${stream} has a version, and the first one of the pipe has none`)
    if (version === undefined)
      throw refused(number, `a record of ${stream} has no version, and others of the pipe have`)
    if (known && known.version !== version) throw twoVersions(number, stream, known.version, version)
    if (!known) this.#streams.set(stream, { version, active: false })
    else known.active = false
  }

  activate(stream: string, version: string, number: number): void {
    if (!this.#replaces) throw refused(number, `ACTIVATE_VERSION of ${stream} comes behind records without a version`)
    const known = this.#streams.get(stream)
    if (known && known.version !== version) throw twoVersions(number, stream, known.version, version)
    this.#streams.set(stream, { version, active: true })
  }

  /** The streams whose rows are to be those that came, and no others. */
  replaced(): string[] {
    return this.#replaces ? [...this.#streams.keys()] : []
  }

  /** At the end. Throws unless everything is known to be here. */
  finish(number: number): void {
    if (!this.#replaces) return
    for (const [stream, known] of this.#streams) {
      if (known?.active) continue
      throw refused(number, `ACTIVATE_VERSION of ${stream} has not come behind its last record`)
    }
  }
}

function twoVersions(number: number, stream: string, one: string, other: string): BizonError {
  return refused(number, `version ${other} of ${stream} comes behind version ${one}`)
}

function refused(number: number, why: string): BizonError {
  return new BizonError(
    'source',
    `line ${number} of the pipe: ${why}, so that it cannot be told which rows are to go; nothing was published`,
    {
      hint: `Let the tap send every table whole, or to add rows and let none go, put this between: jq -c 'select(.type != "ACTIVATE_VERSION") | del(.version)'`,
    },
  )
}
