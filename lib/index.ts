// The public names, and nothing else.

export type { Keeps, Reader, Scratch, StoredRow } from './audit/reader.ts'
export { type Authentication, authenticationSchema } from './auth.ts'
export type { Checkpoint, CheckpointOptions, Receipt } from './checkpoint.ts'
export { checkPipeline, runPipeline } from './commands.ts'
export type {
  DestinationInput,
  DestinationName,
  PipelineInput,
  SourceInput,
  SourceName,
} from './config/input.ts'
export { type ConfigInput, type ConfigOverrides, loadConfig, type PipelineConfig } from './config.ts'
export {
  type ChildTables,
  type Destination,
  type DestinationContext,
  type DestinationDefinition,
  type DestinationOptions,
  type DestinationPlan,
  defineDestination,
  type PlannedChange,
  type Run,
} from './destination.ts'
export { BizonError, ERROR_CODES, type ErrorCode } from './errors.ts'
export type { Observer, Outcome, PipelineEvent } from './events.ts'
export { type Extract, extract } from './extract.ts'
export { apiConfigSchema } from './http/config.ts'
export {
  type CreateHttp,
  type HttpClient,
  type HttpClientOptions,
  HttpError,
  type HttpRequest,
  type HttpResponse,
} from './http.ts'
export { type Load, load } from './load.ts'
export {
  createLog,
  LOG_LEVELS,
  type Log,
  type LogLevel,
  silentLog,
} from './log.ts'
export { pipeline } from './pipeline.ts'
export type {
  Delivery,
  Queue,
  QueueDefinition,
  QueueOptions,
} from './queue.ts'
export {
  type Json,
  type JsonObject,
  objectOf,
  RawJson,
  type SourceRecord,
  textOf,
} from './record.ts'
export {
  type FromPipeOptions,
  fromPipe,
  type PipeAbout,
  type PipedPage,
  type PipeOptions,
  type ReadSingerOptions,
  readSinger,
  writeSinger,
} from './singer.ts'
export {
  defineSource,
  type Page,
  type Position,
  type Source,
  type SourceContext,
  type SourceDefinition,
  type Start,
  type StreamInfo,
  type SyncMode,
  type Watermark,
} from './source.ts'
export type { Job, Lease, StateStore, StateView } from './state.ts'
export {
  checkpoint,
  type PipelineOptions,
  type Step,
  transform,
} from './steps.ts'
export type { EachRecord } from './transform/module.ts'
export type { RecordInfo } from './transform/script.ts'
export type { Transform } from './transform.ts'
export { type DestinationUse, verifyDestination } from './verify/destination.ts'
export { type SourceUse, type VerifiedSource, verifySource } from './verify/source.ts'
export * as z from './z.ts'
