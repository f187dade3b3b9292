import { randomUUID } from 'node:crypto'
import type { Store } from '../../../src/cache/store.ts'
import { type JobId, parseJobId, parseProject } from '../../../src/model/ids.ts'

/** A job whose first worker has a lease on a view. */
export function leaseView({ database }: Store, viewId: number): JobId {
  const id = parseJobId(randomUUID())
  const project = parseProject('default')
  database.jobs.insert(
    { id, project, name: 'job', type: 'training', worker_count: 1, output: null, created_at_ms: 0 },
    [],
  )
  database.leases.insert({ job_id: id, worker: 1, view_id: viewId, boot_id: 'boot' })
  return id
}
