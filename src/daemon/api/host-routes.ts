import { Type } from 'typebox'
import { DaemonStatus, DiskUsage, MountRow } from '../../agent-protocol/host.ts'
import { quarantinedBytes } from '../../cache/quarantine.ts'
import type { WorkerRow } from '../../database/jobs.ts'
import type { Project } from '../../model/ids.ts'
import type { Context } from '../context.ts'
import type { Api } from './api.ts'
import { ProjectQuery, projectOf } from './request-params.ts'

/** Stored free of charge for each project: 50 GB, decimal. */
const FREE_ALLOTMENT_BYTES = 50e9

export function hostRoutes(api: Api, context: Context): void {
  const { store, config } = context
  const { database } = store

  api.get(
    '/v1/status',
    { schema: { summary: 'Show the state of the daemon', response: { 200: DaemonStatus } } },
    () => {
      const availability = context.helper.availability()
      return {
        version: context.version,
        state: context.state(),
        pid: process.pid,
        data_dir: config.data_dir,
        runtime_dir: config.runtime_dir,
        mounts: availability.available
          ? { available: true }
          : { available: false, reason: availability.reason },
        transfers: context.transfers.running,
        mounted_workers: database.jobs.listWorkersIn('mounted').length,
      }
    },
  )

  api.get(
    '/v1/mounts',
    {
      schema: {
        summary: 'List what is mounted for the project',
        querystring: ProjectQuery,
        response: { 200: Type.Array(MountRow) },
      },
    },
    (request) => {
      const project = projectOf(request)
      return (['mounted', 'finishing'] as const).flatMap((state) =>
        database.jobs
          .listWorkersIn(state)
          .filter((worker) => isMounted(context, worker))
          .flatMap((worker) => mountRow(context, worker, project)),
      )
    },
  )

  api.get(
    '/v1/df',
    {
      schema: {
        summary: 'Show what fills the disk, and what each project is billed',
        response: { 200: DiskUsage },
      },
    },
    async () => {
      const space = await store.space.usage()
      const usage = database.usage.getStore()
      const projects = database.usage.listProjects()
      const logical = projects.reduce((sum, { bytes }) => sum + bytes, 0)
      return {
        data_dir: config.data_dir,
        filesystem: {
          size: space.sizeBytes,
          free: space.freeBytes,
          min_free: space.floorBytes,
          reserved: space.reservedBytes,
        },
        store: {
          physical: usage.physical_bytes,
          logical,
          saved_by_sharing: Math.max(0, logical - (usage.physical_bytes - usage.reclaimable_bytes)),
          reclaimable: usage.reclaimable_bytes,
          in_use: usage.in_use_bytes,
          staging: database.usage.getStagingBytes(),
          objects: usage.objects,
          quarantine: await quarantinedBytes(store.layout),
          kept_outputs: database.jobs.countKeptOutputs(context.now()),
        },
        projects: projects.map(({ project, checkpoints, bytes }) => ({
          project_uuid: project,
          checkpoints,
          logical: bytes,
          billed: bytes,
          free_allotment_left: Math.max(0, FREE_ALLOTMENT_BYTES - bytes),
          billable: Math.max(0, bytes - FREE_ALLOTMENT_BYTES),
        })),
      }
    },
  )
}

/** Whether it has mounts on the host, also while they are being released. */
function isMounted(
  { store: { database } }: Context,
  { job_id: job, worker, state, has_output: output, held_by: holders }: WorkerRow,
): boolean {
  if (database.leases.listOfWorker(job, worker).length > 0) return true
  return state === 'mounted' ? output === 1 : holders !== null
}

/** None where its job is another project's. */
function mountRow({ store, config }: Context, worker: WorkerRow, project: Project): MountRow[] {
  const { jobs } = store.database
  const job = jobs.find(worker.job_id)
  if (job?.project !== project) return []
  const checkpoints = jobs.listCheckpoints(job.id)
  const directory = checkpoints.length === 0 ? 'output' : 'checkpoint'
  return [
    {
      job_uuid: job.id,
      job_name: job.name,
      project_uuid: job.project,
      worker: worker.worker,
      state: worker.state,
      path: `${config.runtime_dir}/jobs/${job.id}/${worker.worker}/${directory}`,
      checkpoints: checkpoints.map((used) => ({
        checkpoint_uuid: used.checkpoint_id,
        name: used.checkpoint_name,
      })),
      since: new Date(worker.mounted_at_ms ?? job.created_at_ms).toISOString(),
    },
  ]
}
