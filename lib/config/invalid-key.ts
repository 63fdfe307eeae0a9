// What a connector has against its own keys, found when it is made of them: it names the key, and whoever has read the file
// says where that stands (`Problems.said`).

import { BizonError } from '../errors.ts'
import { type ConfigPath, type ProblemOptions, pathText } from './problems.ts'

export interface InvalidKeyOptions extends Pick<ProblemOptions, 'part' | 'hint'> {
  /** What of the value stands in the reason: not shown where it came from a reference. */
  readonly shown?: string | undefined
  readonly cause?: unknown
}

export class InvalidKey extends BizonError {
  /** From the top of the file. */
  readonly at: ConfigPath
  /** What is wrong, without the key. */
  readonly reason: string
  readonly part: 'key' | 'value'
  readonly shown: string | undefined

  constructor(at: ConfigPath, reason: string, { part = 'value', shown, hint, cause }: InvalidKeyOptions = {}) {
    super('config', `${pathText(at)}: ${reason}`, { hint, cause })
    this.at = at
    this.reason = reason
    this.part = part
    this.shown = shown
  }
}

/** Of the keys of a queue at a broker. */
export const inQueue = (...keys: ConfigPath): ConfigPath => ['engine', 'queue', 'config', 'queue', ...keys]

/** Of the destination's own keys. */
export const inDestination = (...keys: ConfigPath): ConfigPath => ['destination', 'config', ...keys]
