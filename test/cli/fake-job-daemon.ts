import type { ErrorBody } from '../../src/agent-protocol/checkpoint.ts'
import type { FinishRequest, Job, JobCreate, MountResult } from '../../src/agent-protocol/job.ts'
import { CkptdError } from '../../src/model/errors.ts'
import { type FakeDaemon, sendEvents, startFakeDaemon } from './fake-daemon.ts'
import { daemonStatus, errorBody, JOB_ID, job, mount } from './resources.ts'

type Refusal = CkptdError | undefined

interface Behaviour {
  /** What a worker's mount is answered with; by default a mount. */
  readonly mountOf?: (worker: number) => MountResult | CkptdError
  /** Lines before the mount's result. */
  readonly pending?: Iterable<unknown> | AsyncIterable<unknown>
  readonly runtimeDir?: string
  /** Why no output is saved, in every worker that is to be finished. */
  readonly outputError?: ErrorBody
  /** Asked at every finish; an error refuses it. */
  readonly onFinish?: (worker: number) => Refusal
}

export interface FakeJobDaemon extends FakeDaemon {
  /** What each worker, or the job under 0, was finished with, in order. */
  readonly finished: { readonly worker: number; readonly request: FinishRequest }[]
}

/** A daemon that registers one job at a time and follows its workers. */
export async function startFakeJobDaemon(behaviour: Behaviour = {}): Promise<FakeJobDaemon> {
  const finished: { worker: number; request: FinishRequest }[] = []
  let registered: Job = job()
  const output = (worker: number): string => `00000000-0000-4000-8000-00000000000${worker}`

  const daemon = await startFakeDaemon((app) => {
    app.get('/v1/status', () => daemonStatus({ runtime_dir: behaviour.runtimeDir ?? '/run/ckptd' }))
    app.post<{ Body: JobCreate }>('/v1/jobs', ({ body }) => {
      const worker_count = body.worker_count ?? 1
      registered = job({
        name: body.name,
        worker_count,
        data: body.data ?? {},
        workers: Array.from({ length: worker_count }, (_, at) => ({
          worker: at + 1,
          state: 'registered',
        })),
      })
      return registered
    })
    app.post<{ Params: { n: string } }>('/v1/jobs/:ref/workers/:n/mount', ({ params }, reply) => {
      const worker = Number(params.n)
      const answer = behaviour.mountOf?.(worker) ?? mount({ worker, job_uuid: JOB_ID })
      const last =
        answer instanceof CkptdError
          ? { type: 'error', error: errorBody(answer.code, answer.message) }
          : { type: 'result', mount: answer }
      const events = async function* (): AsyncGenerator {
        yield* behaviour.pending ?? []
        yield last
      }
      return sendEvents(reply, events())
    })
    app.post<{ Params: { n: string }; Body: FinishRequest }>(
      '/v1/jobs/:ref/workers/:n/finish',
      ({ params, body }, reply) => {
        const worker = Number(params.n)
        const refusal = behaviour.onFinish?.(worker)
        if (refusal !== undefined) throw refusal
        finished.push({ worker, request: body })
        const saved = registered.data.output_uri !== undefined && body.discard_output !== true
        const { outputError } = behaviour
        if (outputError !== undefined) {
          reply.code(202)
          return { worker, state: 'finishing', error: outputError }
        }
        return { worker, state: 'finished', ...(saved ? { output_uuid: output(worker) } : {}) }
      },
    )
    app.post<{ Body: FinishRequest }>('/v1/jobs/:ref/finish', ({ body }) => {
      finished.push({ worker: 0, request: body })
      return { ...registered, status: 'finished' }
    })
  })
  return { ...daemon, finished }
}
