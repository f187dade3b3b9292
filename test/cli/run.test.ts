import { readFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FORWARDED_SIGNALS } from '../../src/cli/io.ts'
import { CkptdError } from '../../src/model/errors.ts'
import { type FakeJobDaemon, startFakeJobDaemon } from './fake-job-daemon.ts'
import { type FakeRuntime, makeFakeRuntime } from './fake-runtime.ts'
import { CHECKPOINT_ID, errorBody, JOB_ID, mount, progress } from './resources.ts'
import { ckpt } from './run-main.ts'
import { type Spawned, spawnCkpt } from './spawn-ckpt.ts'

let runtime: FakeRuntime
let daemon: FakeJobDaemon | undefined
let spawned: Spawned[] = []

beforeEach(async () => {
  runtime = await makeFakeRuntime()
})
afterEach(async () => {
  // What a failed test left running.
  for (const { child } of spawned) child.kill('SIGKILL')
  spawned = []
  await daemon?.[Symbol.asyncDispose]()
  daemon = undefined
  await runtime[Symbol.asyncDispose]()
})

async function daemonWith(
  behaviour: Parameters<typeof startFakeJobDaemon>[0] = {},
): Promise<FakeJobDaemon> {
  daemon = await startFakeJobDaemon(behaviour)
  return daemon
}

/** `ckpt run --name tune OPTIONS -- podman RUN`, where RUN begins with "run". */
function run(daemon: FakeJobDaemon, options: readonly string[], words: readonly string[]): Spawned {
  const job = ['run', '--name', 'tune', '--checkpoint', 'llama']
  const ran = spawnCkpt(daemon.socket, [...job, ...options, '--', runtime.podman, ...words])
  spawned.push(ran)
  return ran
}

const img = (script: string): string[] => ['run', '--rm', 'img', 'sh', '-c', script]

describe('ckpt run', () => {
  test('registers, mounts, runs, finishes and prints the new checkpoint', async () => {
    const daemon = await daemonWith()
    const ran = run(daemon, ['--public-checkpoint', 'p', '--output', 'checkpoint'], img('echo hi'))
    expect(await ran.ended).toMatchObject({ status: 0 })
    expect(ran.out()).toBe('hi\nJob - tune  00000000-0000-4000-8000-000000000001\n')
    expect(daemon.requests[0]).toEqual({
      line: 'POST /v1/jobs?project_uuid=default',
      body: {
        project_uuid: 'default',
        name: 'tune',
        type: 'training',
        worker_count: 1,
        model: { checkpoints: ['llama', { id: 'p', public: true }] },
        data: { output_type: 'trainml', output_uri: 'checkpoint' },
      },
    })
    expect(daemon.finished).toMatchObject([
      { worker: 1, request: { outcome: 'succeeded', exit_code: 0 } },
      { worker: 0 },
    ])
  })

  test('puts its arguments right after "run", and keeps the container’s id to itself', async () => {
    const daemon = await daemonWith()
    const ran = run(daemon, [], ['--root', '/r', ...img('true')])
    expect(await ran.ended).toMatchObject({ status: 0 })
    const [call = []] = await runtime.calls()
    expect(call.slice(0, 4)).toEqual(['--root', '/r', 'run', '--cidfile'])
    expect(call.slice(5)).toEqual([...mount().run_args, '--rm', 'img', 'sh', '-c', 'true'])
    await expect(readFile(call[4] ?? '')).rejects.toThrow('ENOENT')
  })

  test('hands over a CDI device instead of mounts on request', async () => {
    const cdi_device = 'ckptd.io/worker=7c9e-1'
    const daemon = await daemonWith({ mountOf: () => mount({ cdi_device }) })
    expect(await run(daemon, ['--cdi'], img('true')).ended).toMatchObject({ status: 0 })
    const [call = []] = await runtime.calls()
    expect(call).toContain(cdi_device)
    expect(call).not.toContain('-v')
    expect(daemon.requests[1]?.body).toMatchObject({ cdi: true })
  })

  test('passes on the exit status of the container, and tells the daemon', async () => {
    const daemon = await daemonWith()
    expect(await run(daemon, [], img('exit 42')).ended).toMatchObject({ status: 42 })
    expect(daemon.finished[0]).toMatchObject({
      worker: 1,
      request: { outcome: 'failed', exit_code: 42 },
    })
    expect(daemon.finished[0]?.request.discard_output).toBeUndefined()
  })

  test('runs all workers at once, each with its number, and exits with the first failure', async () => {
    const daemon = await daemonWith()
    const meet = 'touch $0.{worker}; until [ -e $0.1 ] && [ -e $0.2 ]; do sleep 0.02; done'
    const ran = run(
      daemon,
      ['--workers', '2', '--output', 'checkpoint', '--json'],
      [...img(`${meet}; echo out; exit {worker}`), runtime.podman],
    )
    expect(await ran.ended).toMatchObject({ status: 1 })
    expect(JSON.parse(ran.out())).toMatchObject({
      job_uuid: JOB_ID,
      exit_status: 1,
      workers: [
        { worker: 1, exit_code: 1, state: 'finished', output_name: 'Job - tune Worker 1' },
        { worker: 2, exit_code: 2, output_uuid: '00000000-0000-4000-8000-000000000002' },
      ],
    })
    expect(ran.err().match(/^out$/gm)).toHaveLength(2)
  })

  test('says what it waits for while the checkpoints are not ready', async () => {
    const waiting_for = [
      {
        checkpoint_uuid: CHECKPOINT_ID,
        name: 'll\u001bama',
        status: 'downloading',
        progress: progress(),
      },
    ]
    const pending = [{ type: 'pending', pending: { job_uuid: JOB_ID, worker: 1, waiting_for } }]
    const daemon = await daemonWith({ pending })
    const ran = run(daemon, [], img('true'))
    expect(await ran.ended).toMatchObject({ status: 0 })
    expect(ran.err()).toMatch(/^waiting for ll\\x1bama: fetching 50\.0%/)
  })

  test('asks again for a mount while the helper is away, and says so', async () => {
    let asked = 0
    const away = new CkptdError('mounts_unavailable', 'nothing can be mounted: no helper')
    const daemon = await daemonWith({ mountOf: () => (++asked <= 2 ? away : mount()) })
    const ran = run(daemon, [], img('echo hi'))
    expect(await ran.ended).toMatchObject({ status: 0 })
    expect(ran.out()).toBe('hi\n')
    expect(ran.err()).toBe('ckpt: nothing can be mounted: no helper; trying again for 30 seconds\n')
  })

  test('gives up where no helper comes, and says it once for all workers', async () => {
    const away = new CkptdError('mounts_unavailable', 'nothing can be mounted: no helper')
    const daemon = await daemonWith({ mountOf: () => away })
    const line = ['run', '--name', 'tune', '--workers', '3', '--', runtime.podman, ...img('true')]
    const { status, err } = await ckpt(daemon, line)
    expect(status).toBe(9)
    expect(err).toMatch(/^ckpt: .*; trying again for 30 seconds\nckpt: nothing .*\nhint: .*\n$/)
    await expect(runtime.calls()).rejects.toThrow('ENOENT')
  })

  test('finishes the job when a mount fails, and starts nothing', async () => {
    const failed = new CkptdError('checkpoint_failed', 'llama could not be filled')
    const daemon = await daemonWith({ mountOf: (worker) => (worker === 2 ? failed : mount()) })
    const ran = run(daemon, ['--workers', '2'], img('true'))
    expect(await ran.ended).toMatchObject({ status: 6 })
    expect(ran.err()).toContain('ckpt: llama could not be filled\nhint: ')
    expect(daemon.finished).toMatchObject([
      { worker: 0, request: { outcome: 'failed', discard_output: true } },
    ])
    await expect(runtime.calls()).rejects.toThrow('ENOENT')
  })

  test('finishes the worker without output when its program does not exist', async () => {
    const daemon = await daemonWith()
    const ran = spawnCkpt(daemon.socket, ['run', '--name', 'x', '--', '/none/podman', 'run', 'img'])
    expect(await ran.ended).toMatchObject({ status: 127 })
    expect(ran.err()).toMatch(
      /^ckpt: worker 1: there is no program "\/none\/podman"\. Install it .*--no-container\.$/m,
    )
    expect(daemon.finished[0]).toMatchObject({ worker: 1, request: { discard_output: true } })
  })

  test('saves nothing where the runtime made no container', async () => {
    const daemon = await daemonWith()
    const ran = run(daemon, [], ['run', '--fail', 'img'])
    expect(await ran.ended).toMatchObject({ status: 125 })
    expect(daemon.finished[0]).toMatchObject({ worker: 1, request: { discard_output: true } })
  })

  test('does not take another container’s id for its own', async () => {
    const daemon = await daemonWith()
    const ran = run(daemon, [], ['run', '--cidfile', runtime.podman, '--fail', '--rm', 'img'])
    expect(await ran.ended).toMatchObject({ status: 125 })
    expect(await runtime.calls()).toHaveLength(1)
  })

  test('refuses a container in the background before anything is registered', async () => {
    const daemon = await daemonWith()
    const ran = run(daemon, [], ['run', '-itd', 'img'])
    expect(await ran.ended).toMatchObject({ status: 2 })
    expect(ran.err()).toContain('"-itd" would leave the container in the background')
    expect(daemon.requests).toEqual([])
  })

  test.each(FORWARDED_SIGNALS)(
    'passes %s on to the container and its answer back',
    async (signal) => {
      const daemon = await daemonWith()
      const script = `trap 'exit 9' ${signal.slice(3)}; echo up; while :; do sleep 0.02; done`
      const ran = run(daemon, [], img(script))
      await expect.poll(ran.out).toBe('up\n')
      ran.child.kill(signal)
      expect(await ran.ended).toMatchObject({ status: 9 })
      expect(daemon.finished[0]).toMatchObject({ worker: 1, request: { exit_code: 9 } })
    },
  )

  test('waits for the container when the runtime’s client was killed, and passes signals on', async () => {
    const daemon = await daemonWith()
    const script = `trap 'exit 7' TERM; echo $PPID; echo up; while :; do sleep 0.02; done`
    const ran = run(daemon, [], img(script))
    await expect.poll(ran.out).toContain('up\n')
    const [call = []] = await runtime.calls()
    const id = await readFile(call[call.indexOf('--cidfile') + 1] ?? '', 'utf8')
    // The id of the fake's container is its client's process id.
    process.kill(Number(id), 'SIGKILL')
    await expect.poll(ran.err).toContain('still runs; waiting for its end')
    expect(daemon.finished).toEqual([])
    ran.child.kill('SIGTERM')
    expect(await ran.ended).toMatchObject({ status: 7 })
    expect(daemon.finished[0]).toMatchObject({
      worker: 1,
      request: { outcome: 'stopped', exit_code: 7 },
    })
  })

  test.each([
    { how: 'died of', option: '--sig-proxy=false' },
    { how: 'ended in order upon', option: '--label=early' },
  ])('tells the container itself what its client $how', async ({ option }) => {
    const daemon = await daemonWith()
    const script = `trap 'exit 7' TERM; echo up; while :; do sleep 0.02; done`
    const ran = run(daemon, [], ['run', option, ...img(script).slice(1)])
    await expect.poll(ran.out).toBe('up\n')
    ran.child.kill('SIGTERM')
    expect(await ran.ended).toMatchObject({ status: 7 })
    expect(ran.err()).toContain('still runs')
  })

  test('interrupted while it waits for checkpoints finishes the job and starts nothing', async () => {
    const waiting_for = [{ checkpoint_uuid: CHECKPOINT_ID, name: 'llama', status: 'downloading' }]
    const pending = async function* (): AsyncGenerator {
      yield { type: 'pending', pending: { job_uuid: JOB_ID, worker: 1, waiting_for } }
      await new Promise(() => undefined)
    }
    const daemon = await daemonWith({ pending: pending() })
    const ran = run(daemon, [], img('true'))
    await expect.poll(ran.err).toContain('waiting for llama')
    ran.child.kill('SIGINT')
    expect(await ran.ended).toMatchObject({ status: 130 })
    expect(daemon.finished).toMatchObject([
      { worker: 0, request: { outcome: 'stopped', discard_output: true } },
    ])
  })

  test('asks again while the daemon says that the worker still runs', async () => {
    let asked = 0
    const daemon = await daemonWith({
      onFinish: () =>
        ++asked === 1 ? new CkptdError('worker_running', 'a process still runs') : undefined,
    })
    const ran = run(daemon, [], img('true'))
    expect(await ran.ended).toMatchObject({ status: 0 })
    expect(ran.err()).toContain('a process still runs')
    expect(asked).toBe(2)
  })

  test('that cannot be finished says so and how to finish it', async () => {
    const daemon = await daemonWith({ onFinish: () => new CkptdError('io_error', 'disk broken') })
    const ran = run(daemon, [], img('true'))
    expect(await ran.ended).toMatchObject({ status: 1 })
    expect(ran.err()).toContain('ckpt: worker 1: disk broken')
    expect(ran.err()).toContain(`ckpt job finish ${JOB_ID}`)
  })

  test('says when an output could not be saved, after a run that succeeded', async () => {
    const daemon = await daemonWith({
      outputError: errorBody('too_large', 'the tree is too large'),
    })
    const ran = run(daemon, ['--output', 'checkpoint'], img('true'))
    expect(await ran.ended).toMatchObject({ status: 10 })
    expect(ran.err()).toContain('ckpt: worker 1: the tree is too large')
    expect(ran.err()).toContain(`ckpt job finish ${JOB_ID}`)
    // The whole job is not finished behind it: that would only try to save it again.
    expect(daemon.finished).toMatchObject([{ worker: 1 }])
  })

  test('outlives a restart of the daemon while the container runs', async () => {
    const daemon = await daemonWith()
    const ran = run(daemon, [], img('echo up; sleep 0.5'))
    await expect.poll(ran.out).toBe('up\n')
    await daemon.stop()
    await expect.poll(ran.err).toContain('trying again')
    await daemon.restart()
    expect(await ran.ended).toMatchObject({ status: 0 })
  })
})
