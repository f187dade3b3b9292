import { join } from 'node:path'
import type { MountResult } from '../../agent-protocol/job.ts'
import { type ContainerCommand, forWorker } from './container-command.ts'
import type { ContainerHandle } from './container-end.ts'

interface WorkerContainer {
  readonly argv: readonly string[]
  readonly container?: ContainerHandle
}

/**
 * The runtime's command line of one worker: the mount's arguments (or its CDI device, which
 * stands for the same mounts and variables) and a file for the container's id, unless the
 * user has one.
 */
export function containerWorker(
  command: ContainerCommand,
  mount: MountResult,
  idDirectory: string,
): WorkerContainer {
  const { worker, cdi_device, run_args } = mount
  const mountArgs = cdi_device === undefined ? run_args : ['--device', cdi_device]
  const ownFile = join(idDirectory, `${worker}.cid`)
  const isOwn = command.runtime !== undefined && command.cidfile === undefined
  const argv = [
    ...forWorker(command.before, worker),
    ...(isOwn ? ['--cidfile', ownFile] : []),
    ...mountArgs,
    ...forWorker(command.after, worker),
  ]
  if (command.runtime === undefined) return { argv }
  const [cidfile = ownFile] = forWorker(
    command.cidfile === undefined ? [] : [command.cidfile],
    worker,
  )
  return { argv, container: { runtime: forWorker(command.runtime, worker), cidfile } }
}
