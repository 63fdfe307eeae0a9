import { expect, test } from 'vitest'
import { SchemaRegistry } from './schema-registry.ts'

test('a registry that is killed and started again has its address and schemas', async () => {
  const registry = await SchemaRegistry.create()
  try {
    const { confluent, apicurio } = registry.address
    const schema = JSON.stringify({ type: 'record', name: 'Row', fields: [{ name: 'a', type: 'long' }] })
    const added = await fetch(`${confluent}/subjects/t-value/versions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ schema }),
    })
    const { id } = (await added.json()) as { id: number }
    await registry.kill()
    await registry.start()
    expect(registry.address.confluent).toBe(confluent)
    const answers = await Promise.all([
      fetch(`${confluent}/schemas/ids/${id}`),
      fetch(`${apicurio}/apis/registry/v2/ids/globalIds/${id}`),
    ])
    const [theirs, own] = await Promise.all(answers.map((answer) => answer.json()))
    expect(theirs).toMatchObject({ schema })
    expect(own).toEqual(JSON.parse(schema))
  } finally {
    await registry.remove()
  }
})
