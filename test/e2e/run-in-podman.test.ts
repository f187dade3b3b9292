import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Checkpoint, CheckpointDetails } from '../../src/agent-protocol/checkpoint.ts'
import type { Job } from '../../src/agent-protocol/job.ts'
import { type Spawned, spawnCkpt } from '../cli/spawn-ckpt.ts'
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts'
import { type Podman, startPodman } from '../support/podman.ts'
import { mountsBelow } from '../support/scratch.ts'
import { startWebServer, type WebServer } from '../support/web-server.ts'

let daemon: TestDaemon
let podman: Podman
let web: WebServer
const spawned: Spawned[] = []

beforeAll(async () => {
  web = await startWebServer({ '/model/config.json': '{}', '/model/weights.bin': 'weights' })
  daemon = await startDaemon()
  podman = startPodman()
  await daemon.ok('POST', '/checkpoint', {
    name: 'model',
    source_type: 'web',
    source_uri: `${web.address}/model/`,
  })
  await daemon.waitReady('model')
})
afterEach(() => {
  // What a failed test left running.
  for (const { child } of spawned.splice(0)) child.kill('SIGKILL')
})
afterAll(async () => {
  await podman?.[Symbol.asyncDispose]()
  await daemon?.[Symbol.asyncDispose]()
  await web?.[Symbol.asyncDispose]()
})

/** `ckpt run` of two workers whose shells run this script. */
function run(name: string, script: string): Spawned {
  const job = ['--name', name, '--checkpoint', 'model', '--output', 'checkpoint', '--workers', '2']
  const command = [...podman.run, podman.image, 'sh', '-c', script]
  const ran = spawnCkpt(daemon.socket, ['run', ...job, '--', ...command])
  spawned.push(ran)
  return ran
}

const findJob = (name: string): Promise<Job> => daemon.ok<Job>('GET', `/v1/jobs/${name}`)

/** Until both workers have written a file of this name into their outputs; answers the outputs. */
async function untilBothWrote(name: string, file: string): Promise<string[]> {
  let outputs: string[] = []
  await until(async () => {
    const { id } = await findJob(name)
    outputs = [1, 2].map((worker) => `${daemon.runtimeDir}/jobs/${id}/${worker}/output`)
    return outputs.every((output) => existsSync(`${output}/${file}`))
  })
  return outputs
}

async function outputTree(name: string): Promise<string[]> {
  const { status, id } = await daemon.ok<Checkpoint>(
    'GET',
    `/checkpoint/${encodeURIComponent(name)}`,
  )
  expect(status, name).toBe('ready')
  const { contents } = await daemon.ok<CheckpointDetails>('GET', `/checkpoint/${id}/details`)
  return contents.map(({ path }) => path)
}

/** Processes with this word in their command line. */
function processesWith(word: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(word)
    } catch {
      return false
    }
  })
}

function containers(): string {
  const [program = '', ...args] = podman.run.slice(0, podman.run.indexOf('run'))
  return execFileSync(program, [...args, 'ps', '--all', '--quiet'], { encoding: 'utf8' })
}

describe('ckpt run with podman', () => {
  it('runs its workers at once, lets none change the checkpoint, and saves what each wrote', async () => {
    const attempts = [
      'echo x > weights.bin',
      'rm -f weights.bin',
      'touch new',
      'chmod 0777 weights.bin',
      'mount -o remount,rw,bind /opt/trainml/checkpoint',
    ].map((attempt) => `if ${attempt}; then echo "allowed: ${attempt}"; fi`)
    const ran = run(
      'both',
      [
        'id; cd $TRAINML_CHECKPOINT_PATH; cat weights.bin config.json; echo',
        ...attempts,
        'cd $TRAINML_OUTPUT_PATH; mkdir of-{worker}; echo {worker} > of-{worker}/number; touch begun',
        'until [ -e go ]; do sleep 0.1; done; rm go begun',
      ].join('\n'),
    )
    const outputs = await untilBothWrote('both', 'begun')
    for (const output of outputs) writeFileSync(`${output}/go`, '')
    expect(await ran.ended, ran.err()).toEqual({ status: 0, signal: null })
    expect(ran.out().match(/uid=0/g)).toHaveLength(2)
    expect(ran.out().match(/^weights\{\}$/gm)).toHaveLength(2)
    expect(ran.out()).not.toContain('allowed:')
    for (const worker of [1, 2]) {
      expect(ran.out()).toMatch(new RegExp(`^Job - both Worker ${worker} {2}[0-9a-f-]{36}$`, 'm'))
      expect(await outputTree(`Job - both Worker ${worker}`)).toEqual([
        `of-${worker}`,
        `of-${worker}/number`,
      ])
    }
    expect(await findJob('both')).toMatchObject({ status: 'finished' })
  })

  it('passes on a container’s status, and saves its output all the same', async () => {
    const ran = run('fails', 'echo > $TRAINML_OUTPUT_PATH/partial; [ {worker} = 1 ] || exit 7')
    expect(await ran.ended, ran.err()).toEqual({ status: 7, signal: null })
    expect(await outputTree('Job - fails Worker 2')).toEqual(['partial'])
    const { workers } = await findJob('fails')
    expect(workers).toMatchObject([
      { outcome: 'succeeded', exit_code: 0 },
      { outcome: 'failed', exit_code: 7 },
    ])
  })

  it('passes SIGTERM on to its containers, and ends when they are gone and their output is saved', async () => {
    const mark = randomUUID()
    const ran = run(
      'told',
      `: ${mark}
cd $TRAINML_OUTPUT_PATH
trap 'touch told; exit 5' TERM
touch begun
while :; do sleep 0.1; done`,
    )
    await untilBothWrote('told', 'begun')
    expect(processesWith(mark).length).toBeGreaterThan(2)
    ran.child.kill('SIGTERM')
    expect(await ran.ended, ran.err()).toEqual({ status: 5, signal: null })
    expect(processesWith(mark)).toEqual([])
    expect(containers()).toBe('')
    for (const worker of [1, 2])
      expect(await outputTree(`Job - told Worker ${worker}`)).toEqual(['begun', 'told'])
    const job = await findJob('told')
    expect(job).toMatchObject({
      status: 'finished',
      workers: [{ outcome: 'stopped' }, { outcome: 'stopped' }],
    })
    expect(mountsBelow(`${daemon.runtimeDir}/jobs/${job.id}`)).toEqual([])
  })
})
