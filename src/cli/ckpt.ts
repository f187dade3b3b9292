/**
 * The program `ckpt`. Nothing is imported before the version is known to do: an older Node.js
 * would fail on the first import with a stack trace instead of a sentence.
 */
const major = Number(process.versions.node.split('.')[0])
if (major >= 24) {
  const { main } = await import('./main.ts')
  const { processIo } = await import('./process-io.ts')
  process.exitCode = await main(process.argv.slice(2), processIo())
} else {
  process.stderr.write(
    `ckpt: Node.js 24 or newer is needed and this is ${process.versions.node}\n` +
      'hint: Run bin/ckpt, which finds the right one.\n',
  )
  process.exitCode = 78
}
