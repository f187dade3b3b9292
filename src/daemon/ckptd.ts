import { assertNodeVersion } from '../os/node-version.ts'

assertNodeVersion()
// Imported only now: native modules crash an older Node.js instead of failing.
const { main } = await import('./main.ts')
process.exitCode = await main(process.argv.slice(2))
