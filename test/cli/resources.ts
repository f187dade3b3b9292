import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import {
  Checkpoint,
  CheckpointDetails,
  CheckpointEvent,
  type Progress,
  VerifyReport,
} from '../../src/agent-protocol/checkpoint.ts'
import { DaemonStatus, DiskUsage, MountRow } from '../../src/agent-protocol/host.ts'
import { Job, MountResult } from '../../src/agent-protocol/job.ts'
import { CkptdError, type ErrorCode } from '../../src/model/errors.ts'

/** Resources as the daemon would send them: each is held against its schema when it is made. */

export const CHECKPOINT_ID = '1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed'
export const JOB_ID = '7c9e6679-7425-40de-944b-e07fc1f90ae7'
export const OUTPUT_ID = '3d594650-3436-4f3c-9b26-5bb4c1a0f3f1'

function checked<T>(schema: TSchema, value: T): T {
  for (const error of Value.Errors(schema, value))
    throw new Error(`not a valid resource: ${JSON.stringify(error)}`)
  return value
}

export function checkpoint(fields: Partial<Checkpoint> = {}): Checkpoint {
  return checked(Checkpoint, {
    checkpoint_uuid: CHECKPOINT_ID,
    id: CHECKPOINT_ID,
    project_uuid: 'default',
    name: 'llama',
    type: 'evefs',
    status: 'ready',
    source_type: 'web',
    source_uri: 'https://example.org/llama/',
    source_options: {},
    size: 1_610_612_736,
    billed_size: 1_610_612_736,
    file_count: 8,
    createdAt: '2031-04-05T06:07:08.000Z',
    used_by: [],
    ...fields,
  })
}

export function event(value: CheckpointEvent): CheckpointEvent {
  return checked(CheckpointEvent, value)
}

export function details(fields: Partial<CheckpointDetails> = {}): CheckpointDetails {
  return checked(CheckpointDetails, {
    type: 'directory',
    name: '/',
    count: '0',
    size: '0 B',
    contents: [],
    ...fields,
  })
}

export function progress(fields: Partial<Progress> = {}): Progress {
  return {
    phase: 'fetching',
    bytes_done: 512 * 1024 * 1024,
    bytes_total: 1024 * 1024 * 1024,
    files_done: 3,
    files_total: 8,
    bytes_per_second: 100 * 1024 * 1024,
    seconds_left: 5,
    ...fields,
  }
}

export function job(fields: Partial<Job> = {}): Job {
  return checked(Job, {
    job_uuid: JOB_ID,
    id: JOB_ID,
    project_uuid: 'default',
    name: 'tune',
    type: 'training',
    status: 'registered',
    worker_count: 1,
    createdAt: '2031-04-05T06:07:08.000Z',
    model: { checkpoints: [{ checkpoint_uuid: CHECKPOINT_ID, name: 'llama', directory: '' }] },
    data: {},
    workers: [{ worker: 1, state: 'registered' }],
    ...fields,
  })
}

export function mount(fields: Partial<MountResult> = {}): MountResult {
  return checked(MountResult, {
    job_uuid: JOB_ID,
    worker: 1,
    mounts: [],
    env: ['TRAINML_CHECKPOINT_PATH=/opt/trainml/checkpoint'],
    run_args: ['-v', '/run/ckptd/jobs/1/checkpoint:/opt/trainml/checkpoint:ro'],
    ...fields,
  })
}

export function mountRow(fields: Partial<MountRow> = {}): MountRow {
  return checked(MountRow, {
    job_uuid: JOB_ID,
    job_name: 'tune',
    project_uuid: 'default',
    worker: 1,
    state: 'mounted',
    path: '/run/ckptd/jobs/7c9e/1/checkpoint',
    checkpoints: [{ checkpoint_uuid: CHECKPOINT_ID, name: 'llama' }],
    since: '2031-04-05T06:07:08.000Z',
    ...fields,
  })
}

export function diskUsage(): DiskUsage {
  return checked(DiskUsage, {
    data_dir: '/var/lib/ckptd',
    filesystem: { size: 2 ** 40, free: 2 ** 39, min_free: 10_737_418_240, reserved: 0 },
    store: {
      physical: 3 * 2 ** 30,
      logical: 5 * 2 ** 30,
      saved_by_sharing: 2 * 2 ** 30,
      reclaimable: 0,
      in_use: 2 ** 30,
      staging: 0,
      objects: 123,
      quarantine: 4096,
      kept_outputs: 1,
    },
    projects: [
      {
        project_uuid: 'default',
        checkpoints: 2,
        logical: 5 * 2 ** 30,
        billed: 5 * 2 ** 30,
        free_allotment_left: 44_631_290_880,
        billable: 0,
      },
    ],
  })
}

export function daemonStatus(fields: Partial<DaemonStatus> = {}): DaemonStatus {
  return checked(DaemonStatus, {
    version: '0.1.0',
    state: 'running',
    pid: 4711,
    data_dir: '/var/lib/ckptd',
    runtime_dir: '/run/ckptd',
    mounts: { available: true },
    transfers: 0,
    mounted_workers: 0,
    ...fields,
  })
}

export function verifyReport(fields: Partial<VerifyReport> = {}): VerifyReport {
  return checked(VerifyReport, {
    checked_objects: 123,
    checked_bytes: 3 * 2 ** 30,
    bad: [],
    ...fields,
  })
}

/** An error as it stands in a resource or at the end of a stream. */
export function errorBody(
  code: ErrorCode,
  message: string,
): { code: string; message: string; hint: string; retryable: boolean } {
  const { hint, retryable } = new CkptdError(code, message)
  return { code, message, hint, retryable }
}
