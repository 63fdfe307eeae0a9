// A message that cannot be decoded: whoever knows the message says which one it is.

export class Undecodable extends Error {
  override readonly name = 'Undecodable'
  readonly hint: string | undefined

  /** `problem` follows "its value" or "its key". */
  constructor(problem: string, hint?: string) {
    super(problem)
    this.hint = hint
  }
}
