// Kinds of keys that several blocks of a config have.

import * as z from 'zod'

/** Text that must not be empty. */
export const text = (what: string) => z.string().min(1).describe(what)

export const flag = (what: string) => z.boolean().default(false).describe(what)

/** A whole number of at least `least`; the description says the default. */
export const size = (least: number, fallback: number, what: string, most?: number) => {
  const from = z.number().int().min(least)
  return (most === undefined ? from : from.max(most)).default(fallback).describe(what)
}

export const port = (what: string) => z.number().int().min(1).max(65535).describe(what)

/** A whole URL with a password in it would be shown wherever it is said what cannot be reached. */
export const hostName = (what: string) =>
  z
    .string()
    .min(1)
    .refine((name) => !/[@/]|^[^:]+:\d+$/.test(name), {
      error: 'is a host name alone: user, password and port have keys of their own',
    })
    .describe(what)

export const unused = 'Accepted, without effect here.'

const MODES = ['NULLABLE', 'REQUIRED', 'REPEATED'] as const

/** A column as every destination takes it; one of a stream may be for any destination. */
export const columnSchema = z.looseObject({
  name: text('Column, and field of the record.'),
  type: text('Type as the destination calls it.'),
  description: z.string().optional().describe('For people. Default: none.'),
})

/** The same where a destination knows modes and defaults. */
export const columnMode = z.enum(MODES).describe('Whether it may be null, must not, or is a list.')
export const columnDefault = z
  .string()
  .optional()
  .describe('SQL expression for rows that have no value. Default: none.')

export const clusteringKeys = z
  .array(text('Column.'))
  .optional()
  .describe('Columns to cluster the table by, where the destination can. Default: none.')
