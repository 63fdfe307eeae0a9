// Programs of Java, from Maven Central: fetched once, into a cache outside of the project that all runs on a machine share.

import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

const cacheFolder = (): string => join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'bizon-test-services')

/** A folder that `make` has filled. Two that make it at once do not disturb each other: the later one is thrown away. */
export async function cached(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cacheFolder(), name)
  const isThere = (): Promise<boolean> =>
    access(folder).then(
      () => true,
      () => false,
    )
  if (await isThere()) return folder
  await mkdir(cacheFolder(), { recursive: true })
  const made = await mkdtemp(`${folder}.`)
  try {
    await make(made)
    await rename(made, folder)
  } catch (error) {
    if (!(await isThere())) throw error
  } finally {
    await rm(made, { recursive: true, force: true })
  }
  return folder
}

/** An artifact, `group:name:version`, with all that it needs. */
export function jarsOf(name: string, artifacts: readonly string[]): Promise<string> {
  return cached(name, async (folder) => {
    const dependencies = artifacts.map((artifact) => {
      const [group, id, version] = artifact.split(':')
      return `<dependency><groupId>${group}</groupId><artifactId>${id}</artifactId><version>${version}</version></dependency>`
    })
    const pom = join(folder, 'pom.xml')
    await writeFile(
      pom,
      `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
      <groupId>local</groupId><artifactId>${name}</artifactId><version>1</version>
      <dependencies>${dependencies.join('')}</dependencies></project>`,
    )
    await maven('-f', pom, 'dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${folder}`)
  })
}

/** As Maven before and from 3.9 on calls them. */
const RETRIES = ['-Dmaven.wagon.http.retryHandler.count=5', '-Daether.connector.http.retryHandler.count=5'] as const

export async function maven(...args: readonly string[]): Promise<void> {
  await run('mvn', ['-B', '-q', ...RETRIES, ...args], { maxBuffer: 1 << 26 }).catch(
    (error: Error & { code?: unknown }) => {
      if (error.code === 'ENOENT')
        throw new Error('these tests need Maven and Java: apt-get install maven, and Java 17 or later')
      throw error
    },
  )
}

/** The start of a Java program is most of what it does here: the simplest compiler and collector are the fastest. */
export const JAVA_OPTIONS = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Djava.awt.headless=true'] as const
