// Connectors that say where in the file the keys stand that they object to: when they are made, when they are opened, or when
// they are asked whether all is well.

import type { BizonError } from '../errors.ts'
import { InvalidKey, type InvalidKeyOptions } from './invalid-key.ts'
import type { ConfigPath, Problems } from './problems.ts'

/** An error about a key of a config that was loaded, with its place in the file. */
export type Invalid = (at: ConfigPath, reason: string, options?: InvalidKeyOptions) => BizonError

type Method = (...given: unknown[]) => unknown

/** What makes something that has functions of these names again, and what resolves. */
const MAKES = ['producer', 'consumer', 'group']
const ASKS = ['open', 'check', 'waiting']

/** The definition, with what its function of that name makes. */
export function located<Definition extends object>(
  definition: Definition,
  name: keyof Definition & ('create' | 'connect'),
  problems: Problems,
): Definition {
  const make = definition[name] as Method
  // What a definition that is an instance of a class can do is no property of its own.
  const copy = Object.assign(Object.create(Object.getPrototypeOf(definition)), definition)
  return Object.assign(copy, { [name]: making((...given) => make.apply(definition, given), problems) })
}

function making(make: Method, problems: Problems): Method {
  return (...given) => {
    try {
      return opened(make(...given), problems)
    } catch (error) {
      throw placed(error, problems)
    }
  }
}

function opened(made: unknown, problems: Problems): unknown {
  if (typeof made !== 'object' || made === null || !Object.isExtensible(made)) return made
  const methods = made as Record<string, unknown>
  const replace = (name: string, by: (method: Method) => Method): void => {
    const method = methods[name]
    if (typeof method === 'function') methods[name] = by((...given) => method.apply(made, given))
  }
  for (const name of MAKES) replace(name, (method) => making(method, problems))
  for (const name of ASKS) replace(name, (method) => asking(method, problems))
  return made
}

function asking(method: Method, problems: Problems): Method {
  return async (...given) => {
    try {
      return await method(...given)
    } catch (error) {
      throw placed(error, problems)
    }
  }
}

const placed = (error: unknown, problems: Problems): unknown =>
  error instanceof InvalidKey ? problems.said(error.at, error.reason, error) : error
