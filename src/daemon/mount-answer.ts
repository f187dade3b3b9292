import type { MountResult } from '../agent-protocol/job.ts'
import type { Config } from './config.ts'

/**
 * What a job runner gets back: the same mounts and environment as OCI runtime-spec entries and
 * as arguments of podman and docker. `rbind` because several checkpoints are mounts below one;
 * `rprivate` keeps the container's copies from following the host's.
 */
export function mountAnswer(
  config: Pick<Config, 'container_prefix' | 'env_prefix'>,
  worker: {
    job: string
    worker: number
    checkpointPath?: string | undefined
    outputPath?: string | undefined
    cdiDevice?: string | undefined
  },
): MountResult {
  const parts = [
    { source: worker.checkpointPath, name: 'checkpoint', variable: 'CHECKPOINT_PATH', mode: 'ro' },
    { source: worker.outputPath, name: 'output', variable: 'OUTPUT_PATH', mode: 'rw' },
  ] as const
  const mounts: MountResult['mounts'] = []
  const env: string[] = []
  const runArgs: string[] = []
  for (const { source, name, variable, mode } of parts) {
    if (source === undefined) continue
    const destination = `${config.container_prefix}/${name}`
    const options = ['rbind', mode, 'nosuid', 'nodev', 'rprivate']
    mounts.push({ destination, type: 'bind', source, options })
    env.push(`${config.env_prefix}_${variable}=${destination}`)
    runArgs.push(
      `--mount=type=bind,source=${source},destination=${destination}${mode === 'ro' ? ',readonly' : ''},bind-propagation=rprivate`,
      `--env=${config.env_prefix}_${variable}=${destination}`,
    )
  }
  return {
    job_uuid: worker.job,
    worker: worker.worker,
    ...(worker.checkpointPath === undefined ? {} : { checkpoint_path: worker.checkpointPath }),
    ...(worker.outputPath === undefined ? {} : { output_path: worker.outputPath }),
    mounts,
    env,
    run_args: runArgs,
    ...(worker.cdiDevice === undefined ? {} : { cdi_device: worker.cdiDevice }),
  }
}
