// A real yaml-language-server, spoken to as an editor does: a process, and JSON-RPC over its standard streams.
// It is told to ask no network for schemas; what it knows is the file that a document's first line names.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

export interface Range {
  readonly start: { readonly line: number; readonly character: number }
  readonly end: { readonly line: number; readonly character: number }
}

export interface Diagnostic {
  readonly range: Range
  readonly message: string
}

export interface Completion {
  readonly label: string
  readonly insertText?: string
  readonly documentation?: string | { readonly value: string }
}

const SETTINGS: Readonly<Record<string, unknown>> = {
  yaml: {
    schemaStore: { enable: false },
    kubernetesCRDStore: { enable: false },
    validate: true,
    hover: true,
    completion: true,
  },
}
const CLIENT = {
  textDocument: {
    synchronization: {},
    publishDiagnostics: {},
    completion: { completionItem: { documentationFormat: ['markdown', 'plaintext'], snippetSupport: true } },
    hover: { contentFormat: ['markdown'] },
  },
  workspace: { configuration: true },
}

interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: unknown
  readonly result?: unknown
  readonly error?: { readonly message: string }
}
type Settle = { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }

export class LanguageServer {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #requests = new Map<number, Settle>()
  readonly #awaited = new Map<string, (found: readonly Diagnostic[]) => void>()
  #received: Buffer = Buffer.alloc(0)
  #last = 0

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child
    child.stdout.on('data', (chunk: Buffer) => this.#receive(chunk))
    child.on('close', () => {
      for (const { reject } of this.#requests.values()) reject(new Error('the language server ended'))
    })
  }

  static async start(): Promise<LanguageServer> {
    const program = createRequire(import.meta.url).resolve('yaml-language-server/bin/yaml-language-server')
    const server = new LanguageServer(spawn(process.execPath, [program, '--stdio']))
    await server.#request('initialize', { processId: process.pid, rootUri: null, capabilities: CLIENT })
    server.#send({ method: 'initialized', params: {} })
    return server
  }

  /** Opens a document as if it lay at `path`, and gives what the server finds wrong with it. */
  async open(path: string, text: string): Promise<readonly Diagnostic[]> {
    const uri = pathToFileURL(path).href
    const found = new Promise<readonly Diagnostic[]>((resolve) => this.#awaited.set(uri, resolve))
    this.#send({
      method: 'textDocument/didOpen',
      params: { textDocument: { uri, languageId: 'yaml', version: 1, text } },
    })
    const diagnostics = await found
    this.#awaited.delete(uri)
    return diagnostics
  }

  close(path: string): void {
    this.#send({ method: 'textDocument/didClose', params: { textDocument: { uri: pathToFileURL(path).href } } })
  }

  async complete(path: string, line: number, character: number): Promise<readonly Completion[]> {
    const answer = await this.#at('textDocument/completion', path, line, character)
    return (answer as { items: readonly Completion[] }).items
  }

  /** What is shown over a place, as Markdown; empty for nothing. */
  async hover(path: string, line: number, character: number): Promise<string> {
    const answer = await this.#at('textDocument/hover', path, line, character)
    return (answer as { contents: { value: string } } | null)?.contents.value ?? ''
  }

  async stop(): Promise<void> {
    await this.#request('shutdown', null)
    const closed = once(this.#child, 'close')
    this.#send({ method: 'exit' })
    await closed
  }

  #at(method: string, path: string, line: number, character: number): Promise<unknown> {
    return this.#request(method, { textDocument: { uri: pathToFileURL(path).href }, position: { line, character } })
  }

  #request(method: string, params: unknown): Promise<unknown> {
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      this.#requests.set(id, { resolve, reject })
      this.#send({ id, method, params })
    })
  }

  #send(message: Message): void {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message })
    this.#child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
  }

  #receive(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk])
    for (;;) {
      const end = this.#received.indexOf('\r\n\r\n')
      const length = /Content-Length: (\d+)/i.exec(this.#received.toString('latin1', 0, Math.max(end, 0)))?.[1]
      if (length === undefined || this.#received.length < end + 4 + Number(length)) return
      const body = this.#received.toString('utf8', end + 4, end + 4 + Number(length))
      this.#received = this.#received.subarray(end + 4 + Number(length))
      this.#handle(JSON.parse(body) as Message)
    }
  }

  #handle({ id, method, params, result, error }: Message): void {
    if (method === 'workspace/configuration') {
      const { items } = params as { items: readonly { section: string }[] }
      this.#send({ id: id ?? 0, result: items.map(({ section }) => SETTINGS[section] ?? null) })
    } else if (method === 'textDocument/publishDiagnostics') {
      const { uri, diagnostics } = params as { uri: string; diagnostics: readonly Diagnostic[] }
      this.#awaited.get(uri)?.(diagnostics)
    } else if (method !== undefined && id !== undefined) {
      this.#send({ id, result: null })
    } else if (id !== undefined) {
      const settle = this.#requests.get(id)
      this.#requests.delete(id)
      if (error) settle?.reject(new Error(error.message))
      else settle?.resolve(result)
    }
  }
}
