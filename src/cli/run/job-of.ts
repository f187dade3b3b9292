import type { JobCreate } from '../../agent-protocol/job.ts'
import type { JobType } from './run-order.ts'

/** The options of `ckpt run`, as commander hands them over. */
export interface RunOptions {
  readonly name: string
  readonly checkpoint?: readonly string[]
  readonly publicCheckpoint?: readonly string[]
  readonly output?: 'checkpoint'
  readonly outputOwner?: string
  readonly workers: number
  readonly type: JobType
  readonly cdi?: boolean
}

/** The job to register: private checkpoints first, then the public ones. */
export function jobOf(options: RunOptions): JobCreate {
  const { checkpoint = [], publicCheckpoint = [] } = options
  return {
    name: options.name,
    type: options.type,
    worker_count: options.workers,
    model: {
      checkpoints: [...checkpoint, ...publicCheckpoint.map((id) => ({ id, public: true }))],
    },
    data: options.output === undefined ? {} : { output_type: 'trainml', output_uri: 'checkpoint' },
  }
}
