import { defineSource, RawJson, z } from 'bizon'

export default defineSource({
  summary: 'Two orders.',
  config: z.strictObject({ total: z.number().default(1) }),
  streams: () => [{ name: 'orders', resumable: true }],
  create: ({ total }) => ({
    async *read() {
      yield { records: [{ id: '1', data: { id: 1, total } }, { id: '2', data: RawJson.from('{"id":2}') }], next: null }
    },
  }),
})
