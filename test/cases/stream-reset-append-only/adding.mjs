import { defineDestination, z } from 'bizon'

export default defineDestination({
  summary: 'Adds rows to a table that nobody may empty.',
  config: z.strictObject({}),
  appendOnly: true,
  create() {
    throw new Error('a request for a reset opens no destination')
  },
})
