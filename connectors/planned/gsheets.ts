// What a config of the source `gsheets` may hold.

import * as z from 'zod'
import { defineSourceShape } from '../../lib/config/planned.ts'

const SPREADSHEET = /\/spreadsheets\/d\/[\w-]+|[?&#]key=[\w-]+/

export default defineSourceShape({
  summary: 'One worksheet of a Google spreadsheet, its first row the names of the columns.',
  config: z.strictObject({
    spreadsheet_url: z
      .string()
      .refine((url) => SPREADSHEET.test(url), 'is not the address of a spreadsheet: https://…/spreadsheets/d/<id>/…')
      .describe('Address of the spreadsheet, as a browser shows it.')
      .meta({ examples: ['https://docs.google.com/spreadsheets/d/1A2b3C4d5E/edit'] }),
    worksheet_name: z.string().min(1).describe('Title of the tab.'),
    service_account_key: z
      .string()
      .default('')
      .describe('Key file as JSON text; better as a reference, `env://NAME`. Default: the credentials of the machine.'),
    column_names: z
      .array(z.string().min(1))
      .default([])
      .refine((names) => new Set(names).size === names.length, 'names a column twice')
      .describe('Columns to read, as the sheet spells them. Default: all.'),
    convert_column_names_to_sql_format: z
      .boolean()
      .default(true)
      .describe('Write `createdAt` as `created_at`. Default true.'),
  }),
  streams: () => [{ name: 'worksheet' }],
})
