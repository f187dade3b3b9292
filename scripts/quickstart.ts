// The main job, once, end to end, in a scratch directory: a checkpoint comes in from a web
// server, a job reads it read-only, and what the job writes becomes the next checkpoint.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { serveModel, writeModel } from './quickstart-model.ts'

const bin = (name: string): string => fileURLToPath(new URL(`../bin/${name}`, import.meta.url))
const root = process.getuid?.() === 0
const scratch = mkdtempSync(join(tmpdir(), 'ckptd-quickstart-'))
chmodSync(scratch, 0o755)
const socket = join(scratch, 'run/ckptd.sock')

function explain(text: string): void {
  process.stdout.write(`\n\u001b[1m== ${text}\u001b[0m\n`)
}

/** Runs `ckpt` as a user would, and fails where it fails. */
async function ckpt(...args: string[]): Promise<void> {
  process.stdout.write(
    `$ ckpt ${args.map((arg) => (/[\s'"]/.test(arg) ? JSON.stringify(arg) : arg)).join(' ')}\n`,
  )
  // Not synchronous: the web server of this process has to answer meanwhile.
  const child = spawn(bin('ckpt'), args, {
    stdio: 'inherit',
    env: { ...process.env, CKPTD_SOCKET: socket },
  })
  const status = await new Promise((resolve) => child.once('exit', resolve))
  if (status !== 0) throw new Error(`ckpt ended with status ${String(status)}`)
}

const JOB = `
set -e
cd "$TRAINML_CHECKPOINT_PATH"
echo "in the job: TRAINML_CHECKPOINT_PATH=$TRAINML_CHECKPOINT_PATH holds"
ls -l . *
echo "in the job: the first shard's bytes: $(wc -c < model/model-00001-of-00003.safetensors)"
if echo overwritten > model/config.json; then echo "a write went through"; exit 1; fi
echo "in the job: the write was refused, as it must be"
mkdir -p "$TRAINML_OUTPUT_PATH/epoch-1"
cat model/config.json adapter/adapter_config.json > "$TRAINML_OUTPUT_PATH/epoch-1/config.json"
head -c 8000000 model/model-00001-of-00003.safetensors > "$TRAINML_OUTPUT_PATH/epoch-1/model.safetensors"
`

/** How to run the job: podman with busybox where podman works, else a mount namespace. */
function runtime(): string[] {
  if (
    spawnSync('podman', ['--version']).status !== 0 ||
    spawnSync('busybox', ['true']).status !== 0
  )
    return ['--no-container', '--', 'sh', '-c', JOB]
  const rootfs = join(scratch, 'rootfs')
  mkdirSync(join(rootfs, 'bin'), { recursive: true })
  cpSync(
    execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim(),
    join(rootfs, 'bin/busybox'),
  )
  for (const applet of ['sh', 'ls', 'wc', 'cat', 'mkdir', 'head', 'echo', 'true'])
    symlinkSync('busybox', join(rootfs, 'bin', applet))
  const podman = [
    'podman',
    '--root',
    join(scratch, 'containers'),
    '--runroot',
    join(scratch, 'containers-run'),
  ]
  const imported = spawnSync(
    'sh',
    ['-c', `tar -C "${rootfs}" -c . | "$@" import --quiet - quickstart:1`, 'sh', ...podman],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  // It refuses, for one, a temporary directory whose path is long.
  if (imported.status !== 0) return ['--no-container', '--', 'sh', '-c', JOB]
  const plain = ['run', '--rm', '--network=none']
  const careful = [...plain, '--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024']
  // A host with hybrid control groups takes runc and explicit limits only.
  for (const [global, run] of [
    [podman, plain],
    [[...podman, '--runtime', 'runc'], careful],
  ] as const)
    if (
      spawnSync(global[0] ?? '', [...global.slice(1), ...run, 'quickstart:1', 'true']).status === 0
    )
      return ['--', ...global, ...run, 'quickstart:1', 'sh', '-c', JOB]
  return ['--no-container', '--', 'sh', '-c', JOB]
}

/** podman keeps its storage mounted below its root. */
function unmountBelow(directory: string): void {
  const targets = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .filter((target) => target.startsWith(`${directory}/`))
  for (const target of targets.toReversed()) execFileSync('umount', [target])
}

async function waitForDaemon(daemon: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt++) {
    if (daemon.exitCode !== null) throw new Error(`ckptd ended with status ${daemon.exitCode}`)
    const { status, stdout } = spawnSync(bin('ckpt'), ['--json', 'status'], {
      encoding: 'utf8',
      env: { ...process.env, CKPTD_SOCKET: socket },
    })
    if (status === 0 && (!root || /"available":\s*true/.test(stdout))) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('ckptd did not become ready')
}

let daemon: ChildProcess | undefined
const web = await serveModel(join(scratch, 'www'))
try {
  explain('A web server of its own, with a model of realistic shape: shards, configs, an archive')
  writeModel(join(scratch, 'www'))
  process.stdout.write(`${web.address}/model/ and ${web.address}/adapter.tar.gz\n`)

  explain('The daemon, in a scratch directory; as root it also starts its mount helper')
  daemon = spawn(
    bin('ckptd'),
    [
      'serve',
      '--data-dir',
      join(scratch, 'data'),
      '--runtime-dir',
      join(scratch, 'run'),
      '--cdi-dir',
      join(scratch, 'cdi'),
      '--allow-network',
      '127.0.0.0/8',
      '--log-level',
      'warn',
    ],
    { stdio: 'inherit' },
  )
  await waitForDaemon(daemon)
  await ckpt('status')

  explain('A checkpoint from a directory: every file fetched, verified, durable')
  await ckpt('create', 'model', `${web.address}/model/`, '--source', 'web')
  explain('A checkpoint from an archive: extracted straight into the store')
  await ckpt('create', 'adapter', `${web.address}/adapter.tar.gz`, '--source', 'web')
  await ckpt('list')

  if (root) {
    explain('A job that uses both: mounted read-only, its output saved when it ends')
    const how = runtime()
    await ckpt(
      'run',
      '--name',
      'quickstart',
      '--checkpoint',
      'model',
      '--checkpoint',
      'adapter',
      '--output',
      'checkpoint',
      ...how,
    )
    explain('What the job wrote is the next checkpoint')
    await ckpt('list')
    await ckpt('show', 'Job - quickstart')
  } else
    explain(
      'Without root nothing can be mounted: run "make quickstart" as root to see the job, too',
    )
  await ckpt('df')
  explain('Done; the scratch directory goes')
} finally {
  const ending = daemon
  if (ending?.exitCode === null) {
    const ended = new Promise((resolve) => ending.once('exit', resolve))
    ending.kill('SIGTERM')
    await ended
  }
  await web.close()
  unmountBelow(scratch)
  // The directories of a view are read-only, which keeps anybody but root from removing names.
  execFileSync('chmod', ['-R', 'u+rwX', scratch])
  rmSync(scratch, { recursive: true, force: true })
}
