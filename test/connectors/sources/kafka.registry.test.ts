// Schemas of a real registry, by each of its APIs: what was registered by one is read by all.

import avsc from 'avsc'
import { beforeAll, describe, expect, test } from 'vitest'
import type { REGISTRIES } from '../../../connectors/sources/kafka/registry.ts'
import { decode, message } from '../../support/kafka-decoding.ts'
import { sharedRegistry } from '../../support/services/schema-registry.ts'

type Kind = (typeof REGISTRIES)[number]

const money = { type: 'record', name: 'Money', namespace: 'shop', fields: [{ name: 'cents', type: 'long' }] }
const order = {
  type: 'record',
  name: 'Order',
  namespace: 'shop',
  fields: [
    { name: 'at', type: { type: 'long', logicalType: 'timestamp-micros' } },
    { name: 'total', type: 'shop.Money' },
  ],
}
const text = '{"at":"2023-11-14T22:13:20.123456Z","total":{"cents":5}}'

let urls: { confluent: string; apicurio: string }
/** What the registry calls the schema: the number that a message has. */
let ids: { confluent: number; global: number; content: number }

async function post(url: string, body: unknown): Promise<Record<string, unknown>> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`)
  return (await answer.json()) as Record<string, unknown>
}

beforeAll(async () => {
  urls = await sharedRegistry()
  const name = `kafka-${process.pid}-${performance.now()}`
  await post(`${urls.confluent}/subjects/${name}-money/versions`, { schema: JSON.stringify(money) })
  const references = [{ name: 'shop.Money', subject: `${name}-money`, version: 1 }]
  const registered = await post(`${urls.confluent}/subjects/${name}/versions`, {
    schema: JSON.stringify(order),
    references,
  })
  const found = await fetch(`${urls.apicurio}/apis/registry/v3/groups/default/artifacts/${name}/versions/1`)
  const { globalId, contentId } = (await found.json()) as { globalId: number; contentId: number }
  ids = { confluent: registered.id as number, global: globalId, content: contentId }
}, 600_000)

function framed(id: number, width: 4 | 8): Buffer {
  const type = avsc.Type.forSchema({ ...order, fields: [order.fields[0], { name: 'total', type: money }] } as never, {
    wrapUnions: 'always',
  })
  const head = Buffer.alloc(1 + width)
  head.writeUInt32BE(id, width - 3)
  return Buffer.concat([head, type.toBuffer({ at: 1700000000123456, total: { cents: 5 } })])
}

describe('a schema that refers to another one', () => {
  test.each<[Kind, 'confluent' | 'global' | 'content', 4 | 8]>([
    ['confluent', 'confluent', 4],
    ['apicurio_v3', 'global', 8],
    ['apicurio_v3', 'content', 4],
    ['apicurio', 'global', 8],
    ['apicurio', 'content', 4],
  ])('%s, %s id in %d bytes', async (kind, which, width) => {
    const authentication = {
      schema_registry_type: kind,
      schema_registry_url: kind === 'confluent' ? urls.confluent : urls.apicurio,
      ...(which !== 'confluent' && { schema_registry_ids: which }),
    }
    const { records } = await decode({ authentication }, [message({ value: framed(ids[which], width) })])
    expect(records.map((record) => record.text)).toEqual([expect.stringContaining(`"value":${text},"schema":{}`)])
  })

  test.each<Kind>(['confluent', 'apicurio_v3', 'apicurio'])('%s: an id that nobody has', async (kind) => {
    const url = kind === 'confluent' ? urls.confluent : urls.apicurio
    const authentication = { schema_registry_type: kind, schema_registry_url: url }
    await expect(decode({ authentication }, [message({ value: framed(999_999, 4) })])).rejects.toThrow(
      `t/0/0: its value has the schema id 999999, which the registry ${url} does not know`,
    )
  })
})
