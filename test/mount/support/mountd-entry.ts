import { type MountdOptions, runMountd } from '../../../src/mount/mountd.ts'

/** A helper process of its own: options as JSON in the first argument, "ready" on standard output. */
const options = JSON.parse(process.argv[2] ?? '') as Omit<MountdOptions, 'log' | 'signal'>
const write = (level: string) => (fields: object, message: string) =>
  void process.stderr.write(`${level} ${message} ${JSON.stringify(fields)}\n`)
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
await runMountd({
  ...options,
  log: { info: write('info'), warn: write('warn'), error: write('error') },
  signal: stop.signal,
  onReady: () => void process.stdout.write('ready\n'),
})
