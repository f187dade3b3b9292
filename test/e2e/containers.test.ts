import { existsSync, statSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Checkpoint } from '../../src/agent-protocol/checkpoint.ts'
import type { Job, MountResult, Worker } from '../../src/agent-protocol/job.ts'
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts'
import { finishHeld } from '../support/finish-held.ts'
import { type Podman, startPodman } from '../support/podman.ts'
import { startWebServer, type WebServer } from '../support/web-server.ts'

let daemon: TestDaemon
let podman: Podman
let web: WebServer
const WEIGHTS = Buffer.alloc(2_000_000, 'weights of a model ')

beforeAll(async () => {
  web = await startWebServer({
    '/model/config.json': '{}',
    '/model/weights.bin': WEIGHTS,
    '/other.bin': 'other\n',
  })
  daemon = await startDaemon()
  podman = startPodman()
  await daemon.ok('POST', '/checkpoint', {
    name: 'model',
    source_type: 'web',
    source_uri: `${web.address}/model/`,
  })
  await daemon.ok('POST', '/checkpoint', {
    name: 'other',
    source_type: 'web',
    source_uri: `${web.address}/other.bin`,
  })
  await daemon.waitReady('model')
  await daemon.waitReady('other')
})
afterAll(async () => {
  await podman?.[Symbol.asyncDispose]()
  await daemon?.[Symbol.asyncDispose]()
  await web?.[Symbol.asyncDispose]()
})

async function mountJob(
  name: string,
  body: object = {},
  worker = 1,
): Promise<{ job: Job; mount: MountResult }> {
  const job = await daemon.ok<Job>('POST', '/v1/jobs', {
    name,
    model: { checkpoints: ['model'] },
    ...body,
  })
  const mount = await daemon.ok<MountResult>(
    'POST',
    `/v1/jobs/${job.id}/workers/${worker}/mount?wait=60`,
    {},
  )
  return { job, mount }
}
const finish = (job: Job, worker = 1): Promise<Worker> =>
  daemon.ok<Worker>('POST', `/v1/jobs/${job.id}/workers/${worker}/finish?wait=60`, {
    outcome: 'succeeded',
    exit_code: 0,
  })

describe('a container of a job', () => {
  it('finds its checkpoint at TRAINML_CHECKPOINT_PATH, whole', async () => {
    const { job, mount } = await mountJob('reads')
    const { status, output } = await podman.execute(mount.run_args, [
      'sh',
      '-c',
      'cd $TRAINML_CHECKPOINT_PATH && pwd && ls && wc -c < weights.bin',
    ])
    expect(output).toBe(`/opt/trainml/checkpoint\nconfig.json\nweights.bin\n${WEIGHTS.length}\n`)
    expect(status).toBe(0)
    await finish(job)
  })

  it('is refused every write and a remount, as root', async () => {
    const { job, mount } = await mountJob('writes')
    const attempts = [
      'echo x > weights.bin',
      'rm -f weights.bin',
      'touch new',
      'chmod 0777 weights.bin',
      'ln weights.bin link',
      'mkdir directory',
      'mount -o remount,rw,bind /opt/trainml/checkpoint',
    ]
    const script = attempts
      .map((attempt) => `if ${attempt}; then echo "allowed: ${attempt}"; fi`)
      .join('\n')
    const { output } = await podman.execute(mount.run_args, [
      'sh',
      '-c',
      `id; cd /opt/trainml/checkpoint\n${script}\necho the end`,
    ])
    expect(output).toContain('uid=0')
    expect(output).toContain('the end')
    expect(output).not.toContain('allowed:')
    await finish(job)
  })

  it('can be read by a user who is not root', async () => {
    const { job, mount } = await mountJob('nobody')
    const { output } = await podman.execute(
      [...mount.run_args, '--user', '12345:12345'],
      [
        'sh',
        '-c',
        'id && cat /opt/trainml/checkpoint/config.json && ls -l /opt/trainml/checkpoint',
      ],
    )
    expect(output).toContain('uid=12345')
    expect(output).toContain('{}')
    await finish(job)
  })

  it('shares the inode with another container at the same time', async () => {
    const [first, second] = await Promise.all([mountJob('first'), mountJob('second')])
    const script = ['sh', '-c', 'stat -c %d:%i /opt/trainml/checkpoint/weights.bin; sleep 1']
    const [a, b] = await Promise.all([
      podman.execute(first.mount.run_args, script),
      podman.execute(second.mount.run_args, script),
    ])
    expect(a.output).toMatch(/^\d+:\d+\n$/)
    expect(a.output.split(':')[1]).toBe(b.output.split(':')[1])
    await Promise.all([finish(first.job), finish(second.job)])
  })

  it('sees several checkpoints as directories, below a parent that is read-only too', async () => {
    const { job, mount } = await mountJob('several', { model: { checkpoints: ['model', 'other'] } })
    const { output } = await podman.execute(mount.run_args, [
      'sh',
      '-c',
      'cd /opt/trainml/checkpoint; find . | wc -l; cat other/other.bin; touch x || echo refused; touch model/x || echo refused',
    ])
    expect(output).toContain('6\nother')
    expect(output.match(/^refused$/gm)).toHaveLength(2)
    await finish(job)
  })

  it('has what it wrote to TRAINML_OUTPUT_PATH saved, one checkpoint a worker', async () => {
    const body = { worker_count: 2, data: { output_type: 'trainml', output_uri: 'checkpoint' } }
    const { job, mount } = await mountJob('saves', body)
    const second = await daemon.ok<MountResult>(
      'POST',
      `/v1/jobs/${job.id}/workers/2/mount?wait=60`,
      {},
    )
    const script =
      'cd $TRAINML_OUTPUT_PATH && mkdir a && echo from $HOSTNAME > a/b && chmod 0700 a && mkfifo pipe && ln -s a/b inside && ln -s /etc/passwd outside'
    for (const { run_args: args } of [mount, second]) {
      const { status, output } = await podman.execute(
        [...args, '--user', '4321:4321'],
        ['sh', '-c', script],
      )
      expect({ status, output }).toEqual({ status: 0, output: '' })
    }
    const workers = [await finish(job), await finish(job, 2)]
    for (const [index, worker] of workers.entries()) {
      const checkpoint = await daemon.ok<Checkpoint>('GET', `/checkpoint/${worker.output_uuid}`)
      expect(checkpoint.name).toBe(`Job - saves Worker ${index + 1}`)
      const { contents } = await daemon.ok<{ contents: { path: string }[] }>(
        'GET',
        `/checkpoint/${checkpoint.id}/details`,
      )
      expect(contents.map(({ path }) => path)).toEqual(['a', 'a/b', 'inside'])
    }
  })

  it('goes on reading while daemon and helper are killed and start again, and its job ends as ever', async () => {
    const { job, mount } = await mountJob('survives', {
      data: { output_type: 'trainml', output_uri: 'checkpoint' },
    })
    const container = podman.start(mount.run_args, [
      'sh',
      '-c',
      'echo begun > /opt/trainml/output/begun; while [ ! -e /opt/trainml/output/stop ]; do cat /opt/trainml/checkpoint/weights.bin > /dev/null || exit 9; sleep 0.05; done; echo done > /opt/trainml/output/done',
    ])
    const ended = new Promise<number | null>((resolve) => container.once('exit', resolve))
    await until(() => existsSync(`${mount.output_path}/begun`))
    const before = daemon.pids()
    process.kill(before.daemon, 'SIGKILL')
    process.kill(before.mountd, 'SIGKILL')
    await until(async () => {
      const now = daemon.pids()
      if (now.daemon === before.daemon || now.mountd === before.mountd || now.daemon === 0)
        return false
      return (await daemon.ok<{ mounts: { available: boolean } }>('GET', '/v1/status')).mounts
        .available
    })
    expect(container.exitCode).toBeNull()
    expect(statSync(`${mount.checkpoint_path}/weights.bin`).size).toBe(WEIGHTS.length)
    const rows = await daemon.ok<{ job_uuid: string }[]>('GET', '/v1/mounts')
    expect(rows.map(({ job_uuid: id }) => id)).toContain(job.id)

    // Finished too early, it says who is in the way, and nothing is taken from the container.
    await finishHeld(daemon, `/v1/jobs/${job.id}/workers/1`)
    const { writeFileSync } = await import('node:fs')
    writeFileSync(`${daemon.dataDir}/outputs/${job.id}.1/stop`, '')
    expect(await ended).toBe(0)
    const worker = await finish(job)
    const { contents } = await daemon.ok<{ contents: { path: string }[] }>(
      'GET',
      `/checkpoint/${worker.output_uuid}/details`,
    )
    expect(contents.map(({ path }) => path)).toEqual(['begun', 'done', 'stop'])
  })
})
