import { statSync } from 'node:fs'
import { join } from 'node:path'
import { getStatus } from '../api/host-calls.ts'
import { CommandError } from '../command-error.ts'
import type { Session } from '../session.ts'
import { forWorker } from './container-command.ts'
import { namespaceCommand } from './namespace-command.ts'
import { runJob } from './run-job.ts'
import type { RunRequest } from './run-order.ts'

/** Runs every worker without a container runtime, in a mount namespace of its own. */
export async function runInNamespaces(
  session: Session,
  { job, mount, command }: RunRequest,
): Promise<number> {
  if (!session.io.isRoot)
    throw new CommandError('not_possible_here', '--no-container makes mounts and needs root', {
      hint: 'Run it as root, or run the job with podman or docker.',
    })
  const { runtime_dir } = await getStatus(session.api)
  const host = { isDirectory, jobsDirectory: join(runtime_dir, 'jobs') }
  return runJob(session, {
    job,
    mount,
    commandOf: ({ mounts, worker }) => ({
      argv: namespaceCommand(forWorker(command, worker), mounts, host),
    }),
  })
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}
