// Waiting that can be called off.

/**
 * The promise's result, or `undefined` as soon as the signal aborts; the promise is then left to itself.
 * Leaves nothing behind on the signal, however often it is used with it.
 */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) {
    promise.catch(() => {})
    return Promise.resolve(undefined)
  }
  return new Promise((resolve, reject) => {
    const abort = (): void => resolve(undefined)
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** Waits; an abort cuts what the work goes over, and rejects with its reason. */
export async function calledOff<T>(work: Promise<T>, signal: AbortSignal, cut: () => void): Promise<T> {
  signal.addEventListener('abort', cut, { once: true })
  if (signal.aborted) cut()
  try {
    return await work
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', cut)
  }
}

/** For what nobody calls off. */
export const never: AbortSignal = new AbortController().signal

/**
 * Aborts also with the first of some signals, until it is let go of. `AbortSignal.any` leaves a trace of what it makes on what that is made
 * of: too much for what is done again and again under signals that live as long as the process. What is made of this one leaves it here.
 */
export class Linked extends AbortController {
  readonly #signals: readonly AbortSignal[]
  readonly #follow = (event: Event): void => this.abort((event.target as AbortSignal).reason)

  constructor(...signals: readonly AbortSignal[]) {
    super()
    this.#signals = signals
    for (const each of signals) {
      if (each.aborted) this.abort(each.reason)
      else each.addEventListener('abort', this.#follow, { once: true })
    }
  }

  release(): void {
    for (const each of this.#signals) each.removeEventListener('abort', this.#follow)
  }
}

/** The longest wait: a timer set for more ends at once. */
export const MOST_SECONDS = 2_147_483

/** Resolves after the time, or as soon as the signal aborts. */
export function sleep(seconds: number, signal: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, seconds * 1000)
  })
  return orAborted(over, signal).then(() => clearTimeout(timer))
}

/** How long a generator may go on after it was told to stop, before it is left behind. */
const GRACE_SECONDS = 5

/** Ends the generator and waits until its `finally` has run; not for ever, since it may mind no signal. */
export async function endGenerator(generator: AsyncGenerator<unknown, void, void>): Promise<void> {
  const ended = new AbortController()
  const ending = generator
    .return()
    .catch(() => {}) // whoever ends it has a result or an error already
    .finally(() => ended.abort())
  await Promise.race([ending, sleep(GRACE_SECONDS, ended.signal)])
}

/** A place where several wait for one thing to change. */
export class Signpost {
  #waiting: (() => void)[] = []

  /** Resolves at the next `change`, or rejects with the signal's reason. */
  async wait(signal: AbortSignal): Promise<void> {
    await orAborted(new Promise<void>((resolve) => this.#waiting.push(resolve)), signal)
    signal.throwIfAborted()
  }

  change(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}

/** Closes one after the other, each even when one before it fails; then rejects with the first failure. */
export async function closeAll(...steps: readonly (() => Promise<void> | undefined)[]): Promise<void> {
  const failures: unknown[] = []
  for (const step of steps) await Promise.resolve(step()).catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}
