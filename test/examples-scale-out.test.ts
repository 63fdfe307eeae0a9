// What examples/scale-out starts loaders with, looked at without a cluster: the fields that are used, as the API of Kubernetes
// has them, and that all of it is about the same pipeline.

import { execFile } from 'node:child_process'
import { access, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { Ajv } from 'ajv'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { loadConfig } from '../lib/config.ts'
import { CHECKOUT } from './support/sandbox.ts'

const FOLDER = `${CHECKOUT}/examples/scale-out`
const read = (name: string): Promise<string> => readFile(`${FOLDER}/${name}`, 'utf8')
const run = promisify(execFile)

const text = { type: 'string', minLength: 1 }
const whole = { type: 'integer', minimum: 0 }
const labels = { type: 'object', minProperties: 1, additionalProperties: text }
const closed = (properties: object, required: readonly string[] = Object.keys(properties)) => ({
  ...{ type: 'object', additionalProperties: false, properties, required },
})
const listOf = (items: object) => ({ type: 'array', minItems: 1, items })
const sizes = { type: 'object', additionalProperties: { type: 'string', pattern: '^\\d+(m|Mi|Gi)?$' } }

const container = closed(
  {
    name: text,
    image: { type: 'string', pattern: '^[a-z0-9./-]+:[\\w.-]+$' },
    command: listOf(text),
    envFrom: listOf(closed({ secretRef: closed({ name: text }) })),
    resources: closed({ requests: sizes, limits: sizes }),
    volumeMounts: listOf(
      closed({ name: text, mountPath: { type: 'string', pattern: '^/' }, readOnly: { type: 'boolean' } }),
    ),
  },
  ['name', 'image'],
)
const pod = closed(
  {
    restartPolicy: { enum: ['Always', 'OnFailure', 'Never'] },
    terminationGracePeriodSeconds: whole,
    containers: listOf(container),
    volumes: listOf(closed({ name: text, configMap: closed({ name: text }) })),
  },
  ['containers'],
)
const kind = (apiVersion: string, name: string, rest: object, required: readonly string[]) =>
  closed({ apiVersion: { const: apiVersion }, kind: { const: name }, metadata: closed({ name: text }), ...rest }, [
    'apiVersion',
    'kind',
    'metadata',
    ...required,
  ])
const job = closed(
  { backoffLimit: whole, template: closed({ spec: { ...pod, required: ['containers', 'restartPolicy'] } }) },
  ['template'],
)
const KINDS = {
  oneOf: [
    kind(
      'batch/v1',
      'CronJob',
      {
        spec: closed(
          {
            schedule: { type: 'string', pattern: '^(\\S+ ){4}\\S+$' },
            concurrencyPolicy: { enum: ['Allow', 'Forbid', 'Replace'] },
            jobTemplate: closed({ spec: job }),
          },
          ['schedule', 'jobTemplate'],
        ),
      },
      ['spec'],
    ),
    kind(
      'apps/v1',
      'Deployment',
      {
        spec: closed(
          {
            replicas: whole,
            selector: closed({ matchLabels: labels }),
            strategy: closed({
              type: { const: 'RollingUpdate' },
              rollingUpdate: closed({ maxSurge: whole, maxUnavailable: whole }),
            }),
            template: closed({ metadata: closed({ labels }), spec: pod }),
          },
          ['selector', 'template'],
        ),
      },
      ['spec'],
    ),
  ],
}

describe('examples/scale-out', () => {
  test('kubernetes.yml has what the API takes, and a wrong field is found', async () => {
    const manifest = await read('kubernetes.yml')
    const documents = parseAllDocuments(manifest)
    const validate = new Ajv({ allErrors: true }).compile(KINDS)
    // Nothing that would take the place of the pipeline, which a command of its own brings there.
    expect(documents.map((one) => one.toJS().kind)).toEqual(['CronJob', 'Deployment'])
    const [, configMap, key] = /kubectl create configmap (\S+) --from-file=(\S+)/.exec(manifest) ?? []
    await access(`${FOLDER}/${key}`)
    const [cronJob, deployment] = documents.map((one) => one.toJS())
    for (const one of [cronJob, deployment]) expect([validate(one), one.kind]).toEqual([true, one.kind])
    expect(validate({ ...deployment, spec: { ...deployment.spec, replica: 3 } })).toBe(false)
    const { matchLabels } = deployment.spec.selector
    expect(deployment.spec.template.metadata.labels).toEqual(matchLabels)
    for (const { containers, volumes } of [
      cronJob.spec.jobTemplate.spec.template.spec,
      deployment.spec.template.spec,
    ]) {
      expect(containers[0].volumeMounts.map(({ name }: { name: string }) => name)).toEqual([volumes[0].name])
      expect(volumes[0].configMap.name).toBe(configMap)
      const [program, file, option] = containers[0].command
      expect([program, option]).toEqual(
        program === 'bizon-load' ? ['bizon-load', '--from-queue'] : ['bizon-extract', '--to-queue'],
      )
      expect(file).toBe(`${containers[0].volumeMounts[0].mountPath}/${key}`)
    }
  })

  test('bizon-load@.service is a unit that systemd takes', async () => {
    const unit = await read('bizon-load@.service')
    const sections = [...unit.matchAll(/^\[(\w+)\]$/gm)].map(([, name]) => name)
    expect(sections).toEqual(['Unit', 'Service', 'Install'])
    expect(unit).toMatch(/^ExecStart=\S+ bizon-load \/etc\/bizon\/pipeline\.yml --from-queue$/m)
    const [verifier] = (
      await Promise.all(
        ['/usr/bin/systemd-analyze', '/bin/systemd-analyze'].map((path) =>
          access(path).then(
            () => path,
            () => undefined,
          ),
        ),
      )
    ).filter((path) => path !== undefined)
    // Where there is no systemd, there is nobody to ask.
    if (verifier === undefined) return
    const { stderr } = await run(verifier, ['verify', '--man=no', `${FOLDER}/bizon-load@.service`])
    expect(stderr.split('\n').filter((line) => line.includes('bizon-load@'))).toEqual([])
  })

  test('pipeline.yml is a pipeline whose destination takes partitions, merged by what they are made by', async () => {
    const raw = parse(await read('pipeline.yml'))
    const url = 'postgresql://x@127.0.0.1/x'
    raw.source.url = url
    raw.destination.config.url = url
    raw.engine.backend.config.password = 'x'
    const { destination, source, engine } = await loadConfig(raw, ['source', 'destination'])
    expect(destination.definition.refusesPartitions?.(destination.options as never, source.mode)).toBeUndefined()
    expect(engine.queue.broker?.options).toMatchObject({ queue: { partitions: 6 } })
  })
})
