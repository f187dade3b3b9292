import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Session } from '../session.ts'
import { parseContainerCommand } from './container-command.ts'
import { containerWorker } from './container-worker.ts'
import { runJob } from './run-job.ts'
import type { RunRequest } from './run-order.ts'

/** Runs every worker as a container of podman or docker. */
export async function runInContainers(
  session: Session,
  { job, mount, command }: RunRequest,
): Promise<number> {
  // Before anything is registered: what cannot be run, or not be seen to end, is refused here.
  const parsed = parseContainerCommand(command)
  const idDirectory = await mkdtemp(join(tmpdir(), 'ckpt-run-'))
  try {
    return await runJob(session, {
      job,
      mount,
      commandOf: (result) => containerWorker(parsed, result, idDirectory),
    })
  } finally {
    await rm(idDirectory, { recursive: true, force: true })
  }
}
