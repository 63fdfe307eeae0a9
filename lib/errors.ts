// Every failure that reaches a user is a BizonError: what failed, on which value, where, and what to do.
// Layers add what they know and rethrow; only bin/ prints.

export const ERROR_CODES = [
  'usage', // wrong command line
  'config', // the pipeline file is not valid
  'references', // references of a pipeline file cannot be looked up; a run says `config`
  'locked', // another run of this pipeline holds the lock
  'fenced', // a newer run took over; this one may not write any more
  'source', // reading failed
  'invalid_record', // a record is not what the source promises (malformed line, missing field)
  'incomplete', // the source stopped without saying that it was exhausted
  'transform', // a transform threw
  'destination', // writing failed
  'edited', // the destination is not as the last commit left it
  'state', // the state store failed, is corrupt, or is newer than this program
  'interrupted', // a signal or an abort ended the run
  'internal', // a bug in bizon
] as const

export type ErrorCode = (typeof ERROR_CODES)[number]

export interface BizonErrorOptions {
  /** One sentence that says what to do; printed after `Try:`. */
  readonly hint?: string | undefined
  /** Whether the same call may succeed later. Default false. */
  readonly retriable?: boolean | undefined
  readonly cause?: unknown
}

export class BizonError extends Error {
  override readonly name = 'BizonError'
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly retriable: boolean

  constructor(code: ErrorCode, message: string, options: BizonErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint
    this.retriable = options.retriable ?? false
  }
}

/** What was given can never be loaded, however often it is given again. */
export class Unloadable extends BizonError {}

/** What was given says itself that it is damaged: it is worth a look. */
export class Damaged extends BizonError {}

/** Exit codes: 0 done, 1 failed, 2 wrong usage or config, 3 another run holds the lock. Signals (130, 143) are bin's. */
export function exitCodeOf(error: unknown): 1 | 2 | 3 {
  if (!(error instanceof BizonError)) return 1
  if (error.code === 'usage' || error.code === 'config') return 2
  if (error.code === 'locked' || error.code === 'fenced') return 3
  return 1
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The `code` of a Node system error (ENOENT, ENOSPC, …), if it is one. */
export function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return typeof code === 'string' ? code : undefined
}
