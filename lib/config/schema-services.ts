// What a pipeline tells to others, and where it gets secrets from: `alerting`, `monitoring`, `secrets`.

import * as z from 'zod'
import { flag, port, text } from './fields.ts'

const LEVELS = ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'] as const

export const alertingSchema = z.object({
  type: z.enum(['slack']).describe('Where alerts go.'),
  log_levels: z.array(z.enum(LEVELS)).default(['ERROR']).describe('Levels that are worth an alert. Default [ERROR].'),
  config: z
    .object({ webhook_url: text('Incoming webhook; better as a reference, `env://NAME`.') })
    .describe('How to get there.'),
})

const datadog = z
  .object({
    datadog_agent_host: text('Host of the agent. This or datadog_host_env_var is needed.').optional(),
    datadog_host_env_var: text('Environment variable with the host of the agent; wins when it is set.').optional(),
    datadog_agent_port: port('Port of the agent. Default 8125.').default(8125),
    tags: z.record(z.string(), z.string()).default({}).describe('Tags of every metric. Default: none.'),
    enable_tracing: flag('Send spans, too. Default false.'),
  })
  .refine((config) => config.datadog_agent_host !== undefined || config.datadog_host_env_var !== undefined, {
    error: 'needs datadog_agent_host, or datadog_host_env_var',
  })

export const monitoringSchema = z.object({
  type: z.enum(['datadog']).describe('Where metrics go.'),
  enable_tracing: flag('Accepted, without effect here: the one under `config` counts. Default false.'),
  config: datadog.describe('How to get there.'),
})

export const secretsSchema = z.object({
  gsm: z
    .object({
      project_id: text('Google Cloud project of `gsm://NAME`. Default: that of the credentials.').optional(),
      endpoint: text(
        'Host, or host:port, of a regional endpoint of Secret Manager. Default: the global one.',
      ).optional(),
    })
    .optional()
    .describe('Google Secret Manager.'),
})
