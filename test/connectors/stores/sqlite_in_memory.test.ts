import { describe } from 'vitest'
import { storeContract } from '../../contract/store.ts'

describe('sqlite_in_memory', () => {
  storeContract(() => ({ type: 'sqlite_in_memory', database: 'unused', schema: 'unused', echo: false }), {
    persistent: false,
  })
})
