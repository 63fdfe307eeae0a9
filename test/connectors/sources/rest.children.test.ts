// Endpoints that are asked once for each record of another one.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import rest from '../../../connectors/sources/rest.ts'
import { textOf } from '../../../lib/record.ts'
import type { Source } from '../../../lib/source.ts'
import { FaultServer } from '../../support/fault-server.ts'
import { idsOf, listeningLog, openSource, readPages, savedPosition } from '../../support/rest.ts'

let api: FaultServer
beforeEach(async () => {
  api = await FaultServer.start()
})
afterEach(() => api.close())

describe('children', () => {
  const endpoints = {
    shops: { path: 'shops', records: 'shops', id: 'id' },
    orders: {
      path: 'shops/{shop}/orders',
      id: 'id',
      params: { region: 'r-{region}' },
      parent: { stream: 'shops', fields: { shop: 'id', region: 'address.region' }, include: ['shop'] },
    },
    lines: { path: 'orders/{order}', records: 'lines', parent: { stream: 'orders', fields: { order: 'id' } } },
  }
  const open = (stream: string): Source => openSource(rest, { base_url: api.url, endpoints }, stream)
  const shop = (id: number, region = 'n') => ({ id, address: { region } })

  test('are asked for with fields of the parent, which they may be given', async () => {
    api.on('/shops', { json: { shops: [shop(7), shop(8, 's')] } })
    api.on('/shops/7/orders', { body: '[{"id":"x"},{}]'.replace('{}', '{ "id":"y","n":1.0}') })
    api.on('/shops/8/orders', { json: [] })
    const pages = await readPages(open('orders'))
    expect(pages.map(({ records }) => records.map(({ data }) => textOf(data)))).toEqual([
      ['{"shop":7,"id":"x"}', '{"shop":7,"id":"y","n":1.0}'],
      [],
    ])
    expect(api.requests.slice(1).map(({ query }) => query)).toEqual([{ region: 'r-n' }, { region: 'r-s' }])
  })

  test('of children: a resume goes on in the middle, wherever the records of the parent’s page are by then', async () => {
    const shops = [shop(1), shop(2)]
    api.on('/shops', () => ({ json: { shops } }))
    for (const id of [0, 1, 2]) api.on(`/shops/${id}/orders`, { json: [{ id: `${id}a` }, { id: `${id}b` }] })
    for (const id of ['0a', '0b', '1a', '1b', '2a', '2b']) api.on(`/orders/${id}`, { json: { lines: [{ of: id }] } })
    const pages = await readPages(open('lines'))
    expect(idsOf(pages)).toEqual([['1a_0_0'], ['1b_0_0'], ['2a_0_0'], ['2b_0_0']])
    shops.splice(0, 2, shop(2), shop(0), shop(1))
    const rest = await readPages(open('lines'), { position: savedPosition(pages[0]) })
    expect(idsOf(rest)).toEqual([['1b_0_0'], ['2a_0_0'], ['2b_0_0'], ['0a_0_0'], ['0b_0_0']])
    expect(idsOf(await readPages(open('lines'), { position: savedPosition(pages[1]) }))).toEqual([
      ['2a_0_0'],
      ['2b_0_0'],
      ['0a_0_0'],
      ['0b_0_0'],
    ])
    shops.splice(2, 1)
    await expect(readPages(open('lines'), { position: savedPosition(pages[0]) })).rejects.toMatchObject({
      message: expect.stringContaining('is not on its page any more'),
      hint: expect.stringContaining('force_ignore_checkpoint'),
    })
  })

  test('of two records that ask for the same are read twice, also over a resume', async () => {
    api.on('/shops', { json: { shops: [shop(1), shop(1), shop(2)] } })
    for (const id of [1, 2]) api.on(`/shops/${id}/orders`, { json: [{ id }] })
    const pages = await readPages(open('orders'))
    expect(idsOf(pages)).toEqual([['1'], ['1'], ['2']])
    const rest = await readPages(open('orders'), { position: savedPosition(pages[0]) })
    expect(idsOf(rest)).toEqual([['1'], ['2']])
  })

  test('of a record that has gone fail, saying how to leave it out; or are left out', async () => {
    api.on('/shops', { json: { shops: [shop(1), shop(2), shop(3)] } })
    for (const id of [1, 3]) api.on(`/shops/${id}/orders`, { json: [{ id }] })
    api.on('/shops/2/orders', { status: 404, json: { error: 'no such shop' } })
    await expect(readPages(open('orders'))).rejects.toMatchObject({
      message: expect.stringMatching(
        /shops\/2\/orders.*404.*no such shop; asked for a record of shops, which may have been/,
      ),
      hint: expect.stringContaining('source.endpoints.orders.parent.on_missing to skip'),
    })
    const { log, warnings } = listeningLog()
    const orders = { ...endpoints.orders, parent: { ...endpoints.orders.parent, on_missing: 'skip' } }
    const source = openSource(rest, { base_url: api.url, endpoints: { ...endpoints, orders } }, 'orders', { log })
    expect(idsOf(await readPages(source))).toEqual([['1'], [], ['3']])
    expect(warnings).toEqual([expect.stringMatching(/^stream orders: .*shops\/2\/orders.*404.*left out/)])
  })

  test('are asked for with the time at which the read began, where the parent asks for it', async () => {
    api.on('/shops', { json: { shops: [shop(1)] } })
    api.on('/shops/1/orders', { json: [] })
    const incremental = {
      cursor_field: 'at',
      param: 'from',
      end_param: 'to',
      start_value: 1700000000,
      format: 'epoch_seconds',
    }
    const shops = { ...endpoints.shops, params: { upto: '{until}' }, incremental }
    await readPages(openSource(rest, { base_url: api.url, endpoints: { ...endpoints, shops } }, 'orders'))
    const { query } = api.requests[0] ?? {}
    expect(query).toEqual({ from: '1700000000', to: expect.stringMatching(/^\d{10}$/), upto: query?.to })
  })

  test('cannot be sent to another path by what a parent is called', async () => {
    api.on('/shops', { json: { shops: [{ id: '../admin?x=', address: { region: 1 } }] } })
    api.on('/shops/..%2Fadmin%3Fx%3D/orders', { json: [{ id: 1 }] })
    expect(idsOf(await readPages(open('orders')))).toEqual([['1']])
    api.on('/shops', { json: { shops: [{ id: '..', address: { region: 1 } }] } })
    await expect(readPages(open('orders'))).rejects.toThrow('".." cannot stand for {shop}')
  })

  test('fail when a parent lacks what they are asked with', async () => {
    api.on('/shops', { json: { shops: [{ id: 1 }] } })
    await expect(readPages(open('orders'))).rejects.toThrow('a record has no value at address.region for {region}')
  })
})
