// Where Avro schemas are kept: Apicurio's own API, in two versions, and Confluent's, which many registries speak.

import { BizonError, messageOf } from '../../../lib/errors.ts'
import type { ApiConfig } from '../../../lib/http/config.ts'
import { hideSecrets } from '../../../lib/http/url.ts'
import { type CreateHttp, type HttpClient, HttpError, type HttpResponse } from '../../../lib/http.ts'
import { isJsonObject, type Json, type JsonObject } from '../../../lib/record.ts'
import { Undecodable } from './undecodable.ts'

export const REGISTRIES = ['apicurio', 'apicurio_v3', 'confluent'] as const
export const ID_KINDS = ['global', 'content'] as const

export interface RegistryOptions {
  readonly type: (typeof REGISTRIES)[number]
  readonly url: string
  readonly username: string
  readonly password: string
  /** What the ids of messages are to Apicurio. */
  readonly ids: (typeof ID_KINDS)[number]
  readonly api?: ApiConfig | undefined
}

/** Texts of schemas. */
export interface Registered {
  readonly schema: string
  /** Schemas whose types it names, each after those whose types that one names. Absent: nobody asked for them. */
  readonly references?: readonly string[]
}

/** Where a schema stands that another one refers to. */
interface Reference {
  readonly path: string
  readonly more: string | undefined
}

/** References of references: more is a circle, or nobody's. */
const MOST_REFERENCES = 1000

export class Registry {
  readonly #options: RegistryOptions
  readonly #url: string
  readonly #http: HttpClient

  constructor(options: RegistryOptions, http: CreateHttp) {
    const { username, password, api } = options
    this.#options = options
    this.#url = options.url.replace(/\/+$/, '')
    this.#http = http({
      baseUrl: this.#url,
      api,
      ...(username !== '' && {
        authentication: {
          type: 'basic' as const,
          params: { username, password, auth_method: 'Basic', auth_header: 'Authorization' },
        },
      }),
    })
  }

  /**
   * The schema of that id. Rejects with `Undecodable` when there is none, or none of Avro, else, as when nobody answers,
   * with a BizonError. `withReferences`: they are needed. Confluent's API says at once whether there are any.
   */
  async schema(id: string, withReferences: boolean, signal: AbortSignal): Promise<Registered> {
    return this.#options.type === 'confluent' ? this.#confluent(id, signal) : this.#apicurio(id, withReferences, signal)
  }

  async #confluent(id: string, signal: AbortSignal): Promise<Registered> {
    const answer = await this.#get(`/schemas/ids/${id}`, id, signal)
    const { schema, schemaType = 'AVRO', references = [] } = objectIn(answer)
    if (schemaType !== 'AVRO')
      throw new Undecodable(`has the schema id ${id}, which is of type ${String(schemaType)}, not Avro`)
    if (typeof schema !== 'string') throw unreadable(answer)
    const read = async (path: string): Promise<[string, readonly Reference[]]> => {
      const found = objectIn(await this.#get(path, id, signal))
      if (typeof found.schema !== 'string') throw unreadable(answer)
      return [found.schema, subjects(found.references ?? [])]
    }
    return { schema, references: await follow(subjects(references), read) }
  }

  async #apicurio(id: string, withReferences: boolean, signal: AbortSignal): Promise<Registered> {
    const { type, ids } = this.#options
    const api = `/apis/registry/${type === 'apicurio_v3' ? 'v3' : 'v2'}`
    const path = `${api}/ids/${ids}Ids/${id}`
    const answer = await this.#get(path, id, signal)
    const schema = answer.body.toString()
    if (!withReferences) return { schema }
    const content = type === 'apicurio_v3' ? '/content' : ''
    const listed = async (at: string): Promise<readonly Reference[]> =>
      artifacts(JSON.parse((await this.#get(at, id, signal)).body.toString()), api, content)
    const read = async (at: string, more: string | undefined): Promise<[string, readonly Reference[]]> => [
      (await this.#get(at, id, signal)).body.toString(),
      more === undefined ? [] : await listed(more),
    ]
    return { schema, references: await follow(await listed(`${path}/references`), read) }
  }

  async #get(path: string, id: string, signal: AbortSignal): Promise<HttpResponse> {
    let response: HttpResponse
    try {
      response = await this.#http.request({ url: this.#url + path, accept: [404], validate: mustBeJson }, signal)
    } catch (cause) {
      if (signal.aborted || !(cause instanceof BizonError)) throw cause
      const refused = cause instanceof HttpError && (cause.status === 401 || cause.status === 403)
      throw new BizonError('source', `the schema with id ${id} cannot be had: ${messageOf(cause)}`, {
        cause,
        retriable: cause.retriable,
        hint: refused
          ? 'Check source.authentication.schema_registry_username and schema_registry_password.'
          : 'Check source.authentication.schema_registry_url, and that the registry is up; the next run goes on from the last checkpoint.',
      })
    }
    if (response.status === 404) {
      throw new Undecodable(
        `has the schema id ${id}, which the registry ${hideSecrets(this.#url)} does not know`,
        'Check source.authentication.schema_registry_type and schema_registry_url, and source.schema_id_bytes.',
      )
    }
    return response
  }
}

/** Each reference after its own, and each once. */
async function follow(
  references: readonly Reference[],
  read: (path: string, more: string | undefined) => Promise<[string, readonly Reference[]]>,
): Promise<readonly string[]> {
  const found: string[] = []
  const seen = new Set<string>()
  const visit = async (list: readonly Reference[]): Promise<void> => {
    for (const { path, more } of list) {
      if (seen.has(path)) continue
      seen.add(path)
      if (seen.size > MOST_REFERENCES)
        throw new Undecodable(`has a schema with more than ${MOST_REFERENCES} references`)
      const [text, inner] = await read(path, more)
      await visit(inner)
      found.push(text)
    }
  }
  await visit(references)
  return found
}

function subjects(references: Json): readonly Reference[] {
  return objectsIn(references).map(({ subject, version }) => ({
    path: `/subjects/${encodeURIComponent(String(subject))}/versions/${encodeURIComponent(String(version))}`,
    more: undefined,
  }))
}

function artifacts(references: Json, api: string, content: string): readonly Reference[] {
  return objectsIn(references).map(({ groupId, artifactId, version }) => {
    const group = encodeURIComponent(String(groupId ?? 'default'))
    const at = `${api}/groups/${group}/artifacts/${encodeURIComponent(String(artifactId))}/versions/${encodeURIComponent(String(version))}`
    return { path: at + content, more: `${at}/references` }
  })
}

const objectsIn = (value: Json): readonly JsonObject[] => (Array.isArray(value) ? value.filter(isJsonObject) : [])

function objectIn(answer: HttpResponse): JsonObject {
  const value = JSON.parse(answer.body.toString()) as Json
  if (!isJsonObject(value)) throw unreadable(answer)
  return value
}

function mustBeJson({ status, body, url }: HttpResponse): void {
  if (status === 404) return
  try {
    JSON.parse(body.toString())
  } catch (cause) {
    throw new BizonError('source', `${url} does not answer in JSON`, { cause })
  }
}

function unreadable({ url }: HttpResponse): BizonError {
  return new BizonError('source', `${url} does not answer as a schema registry does`, {
    hint: 'Check source.authentication.schema_registry_type and schema_registry_url.',
  })
}
