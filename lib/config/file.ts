// A path to a parsed document: every way in which reading a pipeline file can fail, each as one clear error.

import { createReadStream } from 'node:fs'
import { BizonError, messageOf, systemCode } from '../errors.ts'
import type { YamlDocument } from './yaml.ts'

/** Far more than any pipeline file; bounds what a wrong path (a data file, a device) can do. */
const MAX_BYTES = 4 * 1024 * 1024

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'part of the path is not a folder',
  EISDIR: 'it is a folder',
  EACCES: 'permission denied',
  ELOOP: 'its symbolic links go in circles',
}

export async function readConfigFile(path: string): Promise<YamlDocument> {
  const [text, { parseYaml }] = await Promise.all([readText(path), import('./yaml.ts')])
  return parseYaml(text, path)
}

async function readText(path: string): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES / 1024 / 1024} MiB`)
      chunks.push(chunk)
    }
  } catch (error) {
    throw new BizonError('config', `cannot read the pipeline file ${JSON.stringify(path)}: ${readFailure(error)}`, {
      cause: error,
    })
  }
  const whole = Buffer.concat(chunks)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(whole)
  } catch (error) {
    throw new BizonError('config', `the pipeline file ${JSON.stringify(path)} is not UTF-8 text`, {
      hint: 'save it as UTF-8 in the editor',
      cause: error,
    })
  }
}

/** Why a file cannot be read, in plain words. */
export function readFailure(error: unknown): string {
  return REASONS[systemCode(error) ?? ''] ?? messageOf(error)
}
