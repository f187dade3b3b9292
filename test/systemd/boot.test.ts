import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Checkpoint, CheckpointDetails } from '../../src/agent-protocol/checkpoint.ts'
import type { Job, MountResult, Worker } from '../../src/agent-protocol/job.ts'
import { until } from '../support/daemon.ts'
import { finishHeld } from '../support/finish-held.ts'
import { type Installed, installedMachine } from './support/installed.ts'
import {
  jobMounts,
  mainPid,
  override,
  processOf,
  show,
  type Unit,
  untilReplaced,
} from './support/services.ts'
import { startShell, startWorker } from './support/shell.ts'

const UNITS: readonly Unit[] = ['ckptd', 'ckptd-mountd']
const CKPT = '/usr/lib/ckptd/bin/ckpt'
const TIMEOUT_MS = 300_000

let installed: Installed
beforeAll(async () => {
  installed = await installedMachine()
  return () => installed[Symbol.asyncDispose]()
}, TIMEOUT_MS)

describe('after the installation', () => {
  it('both units are ready and say so', async () => {
    const { machine } = installed
    for (const unit of UNITS) {
      expect(await machine.run('systemctl', 'is-active', unit)).toBe('active')
      expect(await show(machine, unit, 'NRestarts')).toBe('0')
      expect(await show(machine, unit, 'StatusText')).toMatch(/ready|transfers/)
    }
    const status = await machine.run(CKPT, 'status')
    expect(status).toMatch(/Mounts +available/)
  })

  it('the daemon is nobody special, and alone in its namespace', async () => {
    const { machine } = installed
    const { mountNamespace, status } = processOf(machine, await mainPid(machine, 'ckptd'))
    expect(mountNamespace).not.toBe(processOf(machine, 1).mountNamespace)
    expect(status.get('CapBnd')).toBe('0000000000000000')
    expect(status.get('NoNewPrivs')).toBe('1')
    const uid = await machine.run('id', '-u', 'ckptd')
    expect(status.get('Uid')?.split('\t')).toContain(uid)
    expect(Number(uid)).toBeGreaterThan(0)
  })

  it('the helper is root with six capabilities, in the namespace of the host', async () => {
    const { machine } = installed
    const { mountNamespace, status } = processOf(machine, await mainPid(machine, 'ckptd-mountd'))
    expect(mountNamespace).toBe(processOf(machine, 1).mountNamespace)
    const capabilities = BigInt(`0x${status.get('CapEff') ?? ''}`)
    expect(capabilities.toString(2).replaceAll('0', '')).toHaveLength(6)
  })

  it('the socket is open to its group, the store to the daemon alone', async () => {
    const { machine } = installed
    const look = (path: string): Promise<string> => machine.run('stat', '-c', '%U:%G %a', path)
    expect(await look('/run/ckptd/ckptd.sock')).toBe('root:ckptd 660')
    expect(await look('/run/ckptd/mountd.sock')).toBe('ckptd:ckptd 600')
    expect(await look('/run/ckptd')).toBe('root:root 755')
    expect(await look('/var/lib/ckptd')).toBe('ckptd:ckptd 700')
  })
})

describe('a job', () => {
  it(
    'goes on reading through restarts and violent ends of both units, and its output is saved',
    async () => {
      const { machine, api, archive } = installed
      const sha256 = createHash('sha256').update(archive.bytes).digest('hex')
      await machine.run(CKPT, 'create', 'model', archive.uri, '--source', 'web')

      const job = await api.ok<Job>('POST', '/v1/jobs', {
        name: 'train',
        model: { checkpoints: ['model'] },
        data: { output_type: 'trainml', output_uri: 'checkpoint' },
      })
      const mounts = await api.ok<MountResult>(
        'POST',
        `/v1/jobs/${job.id}/workers/1/mount?wait=60`,
        { cdi: true },
      )
      const visible = [`${mounts.checkpoint_path} ro`, `${mounts.output_path} rw`]
      expect(jobMounts(machine)).toEqual(visible)
      expect(mounts.cdi_device).toBeDefined()

      {
        await using worker = startWorker(machine, mounts)
        const read = (): Promise<string> =>
          worker.run('sha256sum /opt/trainml/checkpoint/model.bin')
        await worker.run('exec 9</opt/trainml/checkpoint/model.bin')
        expect(await read()).toContain(sha256)
        await expect(worker.run('touch /opt/trainml/checkpoint/mine')).rejects.toThrow('Read-only')

        for (const unit of UNITS)
          for (const end of ['restart', 'kill'] as const) {
            const former = await mainPid(machine, unit)
            if (end === 'restart') await machine.run('systemctl', 'restart', unit)
            else await machine.run('systemctl', 'kill', '--signal=KILL', unit)
            await untilReplaced(machine, unit, former)
            await worker.run(`echo ${end} >>/opt/trainml/output/${unit}`)
            expect(await read()).toContain(sha256)
            expect(jobMounts(machine)).toEqual(visible)
            await until(async () => /Mounts +available/.test(await machine.run(CKPT, 'status')))
          }
        const again = await api.ok<MountResult>(
          'POST',
          `/v1/jobs/${job.id}/workers/1/mount?wait=60`,
          { cdi: true },
        )
        expect(again).toEqual(mounts)
        expect(await worker.run('sha256sum <&9')).toContain(sha256)

        await worker.run('cd /opt/trainml/output && cp ../checkpoint/model.bin copy.bin')
        await worker.run('echo x >closed && chown 4321:4321 closed && chmod 0 closed')
        await worker.run(
          'mkdir deep && echo x >deep/fixed && chown -R 4321 deep && chmod 0500 deep',
        )
        await worker.run('chattr +i deep/fixed')
        const held = await finishHeld(api, `/v1/jobs/${job.id}/workers/1`, {
          outcome: 'succeeded',
          exit_code: 0,
        })
        expect(held.held_by?.map(({ command }) => command)).toContain('sh')
      }

      const finished = await api.ok<Worker>(
        'POST',
        `/v1/jobs/${job.id}/workers/1/finish?wait=60`,
        {},
      )
      expect(finished.state).toBe('finished')
      const output = finished.output_uuid ?? ''
      expect((await api.ok<Checkpoint>('GET', `/checkpoint/${output}`)).status).toBe('ready')
      const { contents } = await api.ok<CheckpointDetails>('GET', `/checkpoint/${output}/details`)
      expect(contents.map(({ path }) => path)).toEqual([
        'ckptd',
        'ckptd-mountd',
        'closed',
        'copy.bin',
        'deep',
        'deep/fixed',
      ])
      expect(contents.find(({ path }) => path === 'copy.bin')?.sha256).toBe(sha256)
      expect(jobMounts(machine)).toEqual([])
    },
    TIMEOUT_MS,
  )
})

it(
  'a process of the host that has a checkpoint open is named, and the job ends after it',
  async () => {
    const { machine, api } = installed
    const job = await api.ok<Job>('POST', '/v1/jobs', {
      name: 'held',
      model: { checkpoints: ['model'] },
    })
    const worker = `/v1/jobs/${job.id}/workers/1`
    const { checkpoint_path: path } = await api.ok<MountResult>(
      'POST',
      `${worker}/mount?wait=60`,
      {},
    )
    {
      await using shell = startShell(machine)
      await shell.run(`exec 9<${path}/model.bin`)
      const held = await finishHeld(api, worker)
      expect(held.held_by).toMatchObject([{ command: 'sh', path: `${path}/model.bin` }])
    }
    const finished = await api.ok<Worker>('POST', `${worker}/finish?wait=60`, {})
    expect(finished.state).toBe('finished')
  },
  TIMEOUT_MS,
)

describe('the daemon', () => {
  it(
    'is started again when it stops giving signs of life, and so is the helper',
    async () => {
      const { machine } = installed
      // So that the test need not wait for a minute.
      for (const unit of UNITS) await override(machine, `${unit}.service`, 'WatchdogSec=5')
      for (const unit of UNITS) {
        await machine.run('systemctl', 'restart', unit)
        const former = await mainPid(machine, unit)
        await machine.run('kill', '-STOP', String(former))
        await untilReplaced(machine, unit, former)
        const log = await machine.run('journalctl', '--no-pager', '-u', unit)
        expect(log).toContain('Watchdog timeout')
      }
      for (const unit of UNITS) await override(machine, `${unit}.service`, 'WatchdogSec=60')
    },
    TIMEOUT_MS,
  )

  it(
    'serves everything but mounts without its helper, and says what to do',
    async () => {
      const { machine, api } = installed
      // The daemon's start would start the helper, too.
      await machine.run('systemctl', 'mask', '--runtime', '--now', 'ckptd-mountd')
      await machine.run('systemctl', 'restart', 'ckptd')
      expect(await machine.run(CKPT, 'list')).toContain('model')
      const job = await api.ok<Job>('POST', '/v1/jobs', {
        name: 'early',
        model: { checkpoints: ['model'] },
      })
      const refused = await api.call<{ code: string; hint: string }>(
        'POST',
        `/v1/jobs/${job.id}/workers/1/mount?wait=5`,
        {},
      )
      expect(refused.status).toBe(503)
      expect(JSON.stringify(refused.body)).toContain('mounts_unavailable')
      await machine.run('systemctl', 'unmask', '--runtime', 'ckptd-mountd')
      await machine.run('systemctl', 'start', 'ckptd-mountd')
      await until(async () => /Mounts +available/.test(await machine.run(CKPT, 'status')))
      await api.ok('POST', `/v1/jobs/${job.id}/workers/1/mount?wait=60`, {})
      await api.ok('POST', `/v1/jobs/${job.id}/workers/1/finish?wait=60`, {})
    },
    TIMEOUT_MS,
  )

  it(
    'is started by whoever asks it something',
    async () => {
      const { machine } = installed
      await machine.run('systemctl', 'stop', 'ckptd.service')
      expect(await machine.run(CKPT, 'list')).toContain('model')
      expect(await machine.run('systemctl', 'is-active', 'ckptd.service')).toBe('active')
    },
    TIMEOUT_MS,
  )

  it(
    'is not started for ever with a configuration that it refuses, however many wait for it',
    async () => {
      const { machine } = installed
      await machine.run('sh', '-c', 'echo nonsense = 1 >>/etc/ckptd/config.toml')
      await expect(machine.run('systemctl', 'restart', 'ckptd.service')).rejects.toThrow()
      expect(await show(machine, 'ckptd.service', 'ExecMainStatus')).toBe('78')
      expect(await machine.run('journalctl', '--no-pager', '-u', 'ckptd')).toContain('"nonsense"')

      // The limit is twenty; ckptd alone takes a second to find out that it cannot start.
      await override(machine, 'ckptd.socket', 'TriggerLimitBurst=4')
      await expect(machine.run('timeout', '60', CKPT, 'list')).rejects.toThrow()
      await until(async () => (await show(machine, 'ckptd.socket', 'ActiveState')) === 'failed')

      await machine.run('sed', '-i', '/nonsense/d', '/etc/ckptd/config.toml')
      await machine.run('systemctl', 'start', 'ckptd.service')
      expect(await machine.run(CKPT, 'list')).toContain('model')
    },
    TIMEOUT_MS,
  )
})

it(
  'everything stops within 30 seconds and leaves nothing mounted and no socket',
  async () => {
    const { machine } = installed
    await machine.run('systemctl', 'stop', 'ckptd.socket', 'ckptd.service', 'ckptd-mountd.service')
    // What takes longer than the 30 seconds of its unit is killed: "timeout".
    for (const unit of UNITS) expect(await show(machine, unit, 'Result')).toBe('success')
    expect(await machine.run('ls', '/run/ckptd')).toBe('mountd.lock')
    expect(await machine.run('findmnt', '--noheadings', '-o', 'TARGET')).not.toContain('ckptd/jobs')
  },
  TIMEOUT_MS,
)
