// Writes docs/errors.md from the table of errors; a test keeps the two the same.
import { writeFileSync } from 'node:fs'
import { ERRORS } from '../src/model/errors.ts'

const rows = Object.entries(ERRORS).map(
  ([code, { status, retryable, hint }]) =>
    `| \`${code}\` | ${status} | ${retryable ? 'yes' : 'no'} | ${hint} |`,
)
const text = `# Errors

Every failure that a caller can see has one of these codes. Answers of the API carry it in
\`code\`, with \`message\` (what happened to what), \`hint\` (what to do next), \`retryable\` (whether
the same request may succeed later without anybody changing anything) and \`details\`. Written by
\`node scripts/write-errors-document.ts\`.

| code | HTTP | retryable | what to do |
| --- | --- | --- | --- |
${rows.join('\n')}
`
writeFileSync(new URL('../docs/errors.md', import.meta.url), text)
